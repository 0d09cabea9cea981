//! A file without what only tests are built with, and how long that is.

use std::collections::BTreeSet;
use std::mem;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Item, Meta, Token};

pub(super) struct Shipped {
    pub(super) items: Vec<Item>,
    /// How many lines have code in them.
    pub(super) lines: usize,
}

pub(super) fn shipped(text: &str) -> syn::Result<Shipped> {
    let tokens: TokenStream = text.parse()?;
    let mut file: syn::File = syn::parse2(tokens.clone())?;
    if only_for_tests(&file.attrs) {
        return Ok(Shipped { items: Vec::new(), lines: 0 });
    }
    let mut tests = Tests::default();
    tests.visit_file_mut(&mut file);
    let mut lines = BTreeSet::new();
    lines_with_code(tokens, &text.lines().collect::<Vec<_>>(), &mut lines);
    Ok(Shipped { items: file.items, lines: lines.difference(&tests.lines).count() })
}

pub(super) fn only_for_tests(attributes: &[Attribute]) -> bool {
    let only = |attribute: &Attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
    };
    attributes.iter().any(only)
}

/// Whether it holds nowhere but in tests.
fn needs_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else {
        return condition.path().is_ident("test") || condition.path().is_ident("doctest");
    };
    let Ok(parts) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else {
        return false;
    };
    let mut parts = parts.iter();
    if list.path.is_ident("all") {
        parts.any(needs_test)
    } else {
        list.path.is_ident("any") && parts.len() != 0 && parts.all(needs_test)
    }
}

/// Takes away what is for tests, and keeps the lines in mind.
#[derive(Default)]
struct Tests {
    lines: BTreeSet<usize>,
}

impl Tests {
    fn keeps<T: Spanned>(&mut self, node: &T, attributes: &[Attribute]) -> bool {
        let for_tests = only_for_tests(attributes);
        if for_tests {
            let span = node.span();
            self.lines.extend(span.start().line..=span.end().line);
        }
        !for_tests
    }

    fn separated<T: Spanned, P: Default>(
        &mut self,
        nodes: &mut Punctuated<T, P>,
        attributes: fn(&T) -> &[Attribute],
    ) {
        let all = mem::take(nodes).into_iter();
        *nodes = all.filter(|node| self.keeps(node, attributes(node))).collect();
    }
}

/// The attributes of a node that is one of several kinds.
macro_rules! attributes {
    ($node:expr, $kinds:ident: $($kind:ident)*) => {
        match $node {
            $(syn::$kinds::$kind(node) => node.attrs.as_slice(),)*
            _ => &[],
        }
    };
}

fn of_item(item: &Item) -> &[Attribute] {
    attributes!(item, Item: Const Enum ExternCrate Fn ForeignMod Impl Macro Mod Static Struct Trait TraitAlias
                            Type Union Use)
}

fn of_statement(statement: &syn::Stmt) -> &[Attribute] {
    match statement {
        syn::Stmt::Local(local) => &local.attrs,
        syn::Stmt::Item(item) => of_item(item),
        syn::Stmt::Macro(called) => &called.attrs,
        syn::Stmt::Expr(expression, _) => {
            attributes!(expression, Expr: Assign Await Binary Block Call ForLoop If Loop Match MethodCall Return
                                          Unsafe While)
        }
    }
}

impl VisitMut for Tests {
    fn visit_file_mut(&mut self, node: &mut syn::File) {
        node.items.retain(|item| self.keeps(item, of_item(item)));
        visit_mut::visit_file_mut(self, node);
    }

    fn visit_item_mod_mut(&mut self, node: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut node.content {
            items.retain(|item| self.keeps(item, of_item(item)));
        }
        visit_mut::visit_item_mod_mut(self, node);
    }

    fn visit_item_impl_mut(&mut self, node: &mut syn::ItemImpl) {
        node.items.retain(|item| self.keeps(item, attributes!(item, ImplItem: Const Fn Macro Type)));
        visit_mut::visit_item_impl_mut(self, node);
    }

    fn visit_item_trait_mut(&mut self, node: &mut syn::ItemTrait) {
        node.items.retain(|item| self.keeps(item, attributes!(item, TraitItem: Const Fn Macro Type)));
        visit_mut::visit_item_trait_mut(self, node);
    }

    fn visit_item_enum_mut(&mut self, node: &mut syn::ItemEnum) {
        self.separated(&mut node.variants, |variant| &variant.attrs);
        visit_mut::visit_item_enum_mut(self, node);
    }

    fn visit_fields_named_mut(&mut self, node: &mut syn::FieldsNamed) {
        self.separated(&mut node.named, |field| &field.attrs);
        visit_mut::visit_fields_named_mut(self, node);
    }

    fn visit_expr_struct_mut(&mut self, node: &mut syn::ExprStruct) {
        self.separated(&mut node.fields, |field| &field.attrs);
        visit_mut::visit_expr_struct_mut(self, node);
    }

    fn visit_expr_match_mut(&mut self, node: &mut syn::ExprMatch) {
        node.arms.retain(|arm| self.keeps(arm, &arm.attrs));
        visit_mut::visit_expr_match_mut(self, node);
    }

    fn visit_block_mut(&mut self, node: &mut syn::Block) {
        node.stmts.retain(|statement| self.keeps(statement, of_statement(statement)));
        visit_mut::visit_block_mut(self, node);
    }
}

fn lines_with_code(tokens: TokenStream, text: &[&str], lines: &mut BTreeSet<usize>) {
    for token in tokens {
        // Documentation is an attribute to the compiler, and its tokens are where the comment is.
        if is_comment(token.span(), text) {
            continue;
        }
        let spans = match &token {
            TokenTree::Group(group) => [group.span_open(), group.span_close()],
            _ => [token.span(), token.span()],
        };
        let within = spans.iter().flat_map(|span| span.start().line..=span.end().line);
        // A text may have empty lines in it.
        lines.extend(within.filter(|line| !text[line - 1].trim().is_empty()));
        if let TokenTree::Group(group) = token {
            lines_with_code(group.stream(), text, lines);
        }
    }
}

fn is_comment(span: Span, text: &[&str]) -> bool {
    let start = span.start();
    let rest =
        text.get(start.line - 1).and_then(|line| Some(&line[line.char_indices().nth(start.column)?.0..]));
    rest.is_some_and(|rest| rest.starts_with("//") || rest.starts_with("/*"))
}
