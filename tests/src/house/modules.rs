//! The modules of a library or a program, from its first file on.

use std::collections::BTreeMap;

use syn::visit::Visit;
use syn::{Item, ItemMod};

use super::code::{Code, Import, Imported, name};
use super::shipped::{Shipped, shipped};
use super::{House, folder};

/// Which of [`Modules`].
pub(super) type Which = usize;

pub(super) struct Module {
    pub(super) file: String,
    pub(super) parent: Option<Which>,
    pub(super) code: Code,
    pub(super) names: BTreeMap<String, Vec<Named>>,
}

/// What a name in a module is; it may be several things, like a module and a function.
#[derive(Clone)]
pub(super) enum Named {
    Module(Which),
    /// Defined in this file.
    Item(String),
    /// Which of the module's imports.
    Import(usize),
    Outside,
}

/// The first is the whole crate.
#[derive(Default)]
pub(super) struct Modules {
    pub(super) all: Vec<Module>,
    /// The lines of code of each file.
    pub(super) lines: BTreeMap<String, usize>,
}

impl Modules {
    pub(super) fn load(house: &House, root: &str) -> Result<Self, String> {
        let mut modules = Self::default();
        modules.file(house, root, None, folder(root))?;
        Ok(modules)
    }

    /// `children` is the folder in which the modules' files are that this file declares.
    fn file(
        &mut self,
        house: &House,
        file: &str,
        parent: Option<Which>,
        children: &str,
    ) -> Result<Which, String> {
        let text = house.files.get(file).ok_or_else(|| format!("{file}: there is no such file"))?;
        let Shipped { items, lines } = shipped(text).map_err(|error| {
            let at = error.span().start();
            format!("{file}:{}: {error}", at.line)
        })?;
        self.lines.insert(file.to_owned(), lines);
        self.module(house, file, parent, children, items)
    }

    fn module(
        &mut self,
        house: &House,
        file: &str,
        parent: Option<Which>,
        children: &str,
        items: Vec<Item>,
    ) -> Result<Which, String> {
        let which = self.all.len();
        let module = Module { file: file.to_owned(), parent, code: Code::default(), names: BTreeMap::new() };
        self.all.push(module);
        let mut code = Code::default();
        for item in items {
            let exported = matches!(&item, Item::Macro(item) if item.attrs.iter().any(is_macro_export));
            for defined in defined_by(&item) {
                // Wherever it's written, such a macro is at the top of the crate.
                let place = if exported { 0 } else { which };
                self.name(place, &defined, Named::Item(file.to_owned()));
            }
            match item {
                Item::Mod(item) => {
                    let called = name(&item.ident);
                    let child = self.child(house, which, children, item)?;
                    self.name(which, &called, Named::Module(child));
                }
                Item::ExternCrate(item) => {
                    let called = item.rename.as_ref().map_or(&item.ident, |(_, rename)| rename);
                    let what = if item.ident == "self" { Named::Module(0) } else { Named::Outside };
                    self.name(which, &name(called), what);
                }
                item => code.visit_item(&item),
            }
        }
        for (number, import) in code.imports.iter().enumerate() {
            if let Import { what: Imported::As(called), .. } = import {
                self.name(which, called, Named::Import(number));
            }
        }
        self.all[which].code = code;
        Ok(which)
    }

    fn child(
        &mut self,
        house: &House,
        parent: Which,
        children: &str,
        item: ItemMod,
    ) -> Result<Which, String> {
        let file = self.all[parent].file.clone();
        let below = format!("{children}/{}", name(&item.ident));
        if let Some((_, items)) = item.content {
            return self.module(house, &file, Some(parent), &below, items);
        }
        if let Some(path) = item.attrs.iter().find_map(path_of) {
            let path = joined(folder(&file), &path);
            return self.file(house, &path, Some(parent), folder(&path));
        }
        let candidates = [format!("{below}.rs"), format!("{below}/mod.rs")];
        let found = candidates.iter().find(|candidate| house.files.contains_key(*candidate));
        let found =
            found.ok_or_else(|| format!("{file}: mod {}: its file isn't there", name(&item.ident)))?;
        self.file(house, found, Some(parent), &below)
    }

    fn name(&mut self, module: Which, name: &str, what: Named) {
        self.all[module].names.entry(name.to_owned()).or_default().push(what);
    }
}

fn defined_by(item: &Item) -> Vec<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => return item.ident.iter().map(name).collect(),
        Item::ForeignMod(block) => return block.items.iter().filter_map(foreign).collect(),
        _ => return Vec::new(),
    };
    vec![name(ident)]
}

fn foreign(item: &syn::ForeignItem) -> Option<String> {
    match item {
        syn::ForeignItem::Fn(item) => Some(name(&item.sig.ident)),
        syn::ForeignItem::Static(item) => Some(name(&item.ident)),
        syn::ForeignItem::Type(item) => Some(name(&item.ident)),
        _ => None,
    }
}

fn is_macro_export(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("macro_export")
}

/// Of `#[path = "..."]`.
fn path_of(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(meta) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &meta.value else { return None };
    meta.path.is_ident("path").then(|| text.value())
}

fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
