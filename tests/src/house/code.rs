//! What a module takes from elsewhere: its imports, and the paths in its code.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Meta, UseTree, Visibility};

/// The names of a path, from the left. A path that begins with `::` begins with an empty one, which nothing is called.
pub(super) type Path = Vec<String>;

pub(super) struct Import {
    /// For `a::*` that is `a`.
    pub(super) path: Path,
    pub(super) what: Imported,
    /// Seen by the module and those below only.
    pub(super) private: bool,
}

pub(super) enum Imported {
    As(String),
    Everything,
    /// `as _`: a trait, for its methods.
    Nameless,
}

/// What is in the items of a module, functions' bodies included, but modules not.
#[derive(Default)]
pub(super) struct Code {
    pub(super) imports: Vec<Import>,
    /// Of at least two names: one alone is of the module itself, or of an import.
    pub(super) paths: Vec<Path>,
}

impl Code {
    fn import(&mut self, tree: &UseTree, mut path: Path, private: bool) {
        let what = match tree {
            UseTree::Path(tree) => {
                path.push(name(&tree.ident));
                return self.import(&tree.tree, path, private);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, path.clone(), private));
            }
            UseTree::Glob(_) => Imported::Everything,
            UseTree::Name(tree) => {
                path.push(name(&tree.ident));
                drop_self(&mut path);
                path.last().map_or(Imported::Nameless, |name| Imported::As(name.clone()))
            }
            UseTree::Rename(tree) => {
                path.push(name(&tree.ident));
                drop_self(&mut path);
                if tree.rename == "_" { Imported::Nameless } else { Imported::As(name(&tree.rename)) }
            }
        };
        self.imports.push(Import { path, what, private });
    }

    fn path(&mut self, mut path: Path) {
        drop_self(&mut path);
        if path.len() > 1 {
            self.paths.push(path);
        }
    }

    /// Tokens of which only a macro knows what they mean: names with `::` between them are a path. `before` is what the
    /// names begin with, inside the braces of `a::{b, c}`. Texts are paths in attributes, as in serde's.
    fn tokens(&mut self, tokens: TokenStream, before: &Path, texts: bool) {
        let mut path = before.clone();
        let (mut colons, mut goes_on) = (0, false);
        for token in tokens {
            if let TokenTree::Punct(punct) = &token
                && punct.as_char() == ':'
                && (colons == 1 || punct.spacing() == Spacing::Joint)
            {
                colons += 1;
                if colons == 2 && !goes_on {
                    self.path(std::mem::replace(&mut path, vec![String::new()]));
                }
                continue;
            }
            let joined = std::mem::take(&mut colons) == 2;
            goes_on = false;
            if !joined {
                self.path(std::mem::replace(&mut path, before.clone()));
            }
            match token {
                TokenTree::Ident(ident) => {
                    path.push(name(&ident));
                    goes_on = true;
                }
                TokenTree::Group(group) => {
                    let braces = joined && group.delimiter() == Delimiter::Brace;
                    let inside = if braces { &path } else { &Path::new() };
                    self.tokens(group.stream(), inside, texts);
                    path.clone_from(before);
                }
                TokenTree::Literal(literal) if texts => {
                    let text = syn::parse_str::<syn::LitStr>(&literal.to_string());
                    if let Ok(path) = text.and_then(|text| text.parse_with(syn::Path::parse_mod_style)) {
                        self.visit_path(&path);
                    }
                }
                _ => {}
            }
        }
        self.path(path);
    }
}

/// `a::{self}` is `a`.
fn drop_self(path: &mut Path) {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
}

/// As it's called, with or without `r#`.
pub(super) fn name(ident: &proc_macro2::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

impl<'ast> Visit<'ast> for Code {
    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        let before = if node.leading_colon.is_some() { vec![String::new()] } else { Path::new() };
        self.import(&node.tree, before, matches!(node.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        if node.leading_colon.is_none() {
            self.path(node.segments.iter().map(|segment| name(&segment.ident)).collect());
        }
        // Types between `<` and `>`.
        visit::visit_path(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.visit_path(&node.path);
        self.tokens(node.tokens.clone(), &Path::new(), false);
    }

    fn visit_attribute(&mut self, node: &'ast syn::Attribute) {
        match &node.meta {
            Meta::List(list) => self.tokens(list.tokens.clone(), &Path::new(), true),
            _ => visit::visit_attribute(self, node),
        }
    }

    /// `pub(in a::b)` takes nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
