//! What one Rust file holds, read with a real parser so that comments and strings do not count.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A parsed Rust file.
pub struct Source {
    file: syn::File,
}

/// Something found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The line it starts on, from 1.
    pub line: usize,
    /// What it is: a function's name, a macro, a path.
    pub what: String,
}

/// A function and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The line of its signature, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Lines from the signature to the closing brace, both counted.
    pub lines: usize,
}

impl Source {
    /// Parses a file.
    ///
    /// # Errors
    /// When the text is not Rust.
    pub fn parse(text: &str) -> Result<Self, syn::Error> {
        syn::parse_file(text).map(|file| Self { file })
    }

    /// The same file without its items under `#[cfg(test)]`.
    #[must_use]
    pub fn without_tests(mut self) -> Self {
        self.file.items.retain(|item| !is_test_only(item));
        self
    }

    /// All functions and methods, the inner ones too.
    pub fn functions(&self) -> Vec<Function> {
        let mut finder = Functions(Vec::new());
        finder.visit_file(&self.file);
        finder.0
    }

    /// Calls of the macros of these names, also those within other macros.
    pub fn macros(&self, names: &[&str]) -> Vec<Found> {
        let tokens: Vec<TokenTree> = flat(self.file.to_token_stream());
        let calls = tokens.windows(2).filter(|pair| is_punctuation(&pair[1], '!'));
        calls.filter_map(|pair| identifier(&pair[0])).filter(|found| names.contains(&found.what.as_str())).collect()
    }

    /// Attributes of this name.
    pub fn attributes(&self, name: &str) -> Vec<Found> {
        let tokens: Vec<TokenTree> = flat(self.file.to_token_stream());
        let hashes = tokens.windows(3).filter(|three| is_punctuation(&three[0], '#'));
        hashes.filter_map(|three| identifier(&three[2])).filter(|found| found.what == name).collect()
    }

    /// Identifiers inside of a `loop`, `while` or `for` that the predicate picks, once for each place.
    pub fn in_loops(&self, pick: impl Fn(&str) -> bool) -> Vec<Found> {
        let mut finder = Loops(Vec::new());
        finder.visit_file(&self.file);
        let mut found: Vec<Found> = finder.0.into_iter().filter_map(|token| identifier(&token)).collect();
        found.retain(|found| pick(&found.what));
        found.dedup();
        found
    }

    /// All paths, written out or imported, as `a::b::c`. Paths within macro calls are not among them.
    pub fn paths(&self) -> Vec<Found> {
        let mut finder = Paths(Vec::new());
        finder.visit_file(&self.file);
        finder.0
    }
}

fn is_test_only(item: &syn::Item) -> bool {
    let (syn::Item::Mod(syn::ItemMod { attrs, .. }) | syn::Item::Fn(syn::ItemFn { attrs, .. })) = item else {
        return false;
    };
    attrs.iter().any(|attribute| attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]")
}

/// The tokens one after the other, groups opened; a group's delimiters are left out, which leaves `name ! ...` and
/// `# name` as neighbours.
fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    let mut out = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                // Stands for the opening delimiter, so that `a != b` and `#[x]` stay apart from their surroundings.
                out.push(TokenTree::Punct(proc_macro2::Punct::new(',', proc_macro2::Spacing::Alone)));
                out.extend(flat(group.stream()));
            }
            other => out.push(other),
        }
    }
    out
}

fn is_punctuation(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character && punct.spacing() == proc_macro2::Spacing::Alone)
}

fn identifier(token: &TokenTree) -> Option<Found> {
    let TokenTree::Ident(name) = token else { return None };
    Some(Found { line: name.span().start().line, what: name.to_string() })
}

struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        self.0.push(Function { line: first, name: signature.ident.to_string(), lines: last + 1 - first });
    }
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Collects the tokens of loops; an inner loop's come with those of the outer one.
struct Loops(Vec<TokenTree>);

impl Visit<'_> for Loops {
    fn visit_expr_loop(&mut self, expression: &syn::ExprLoop) {
        self.0.extend(flat(expression.body.to_token_stream()));
    }

    fn visit_expr_while(&mut self, expression: &syn::ExprWhile) {
        self.0.extend(flat(expression.cond.to_token_stream()));
        self.0.extend(flat(expression.body.to_token_stream()));
    }

    fn visit_expr_for_loop(&mut self, expression: &syn::ExprForLoop) {
        self.0.extend(flat(expression.body.to_token_stream()));
    }
}

struct Paths(Vec<Found>);

impl Visit<'_> for Paths {
    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.0.push(Found { line: path.span().start().line, what: segments.join("::") });
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        imported("", &item.tree, &mut self.0);
    }
}

fn imported(prefix: &str, tree: &syn::UseTree, out: &mut Vec<Found>) {
    let mut leaf = |name: &dyn ToString, line| out.push(Found { line, what: format!("{prefix}{}", name.to_string()) });
    match tree {
        syn::UseTree::Path(path) => imported(&format!("{prefix}{}::", path.ident), &path.tree, out),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| imported(prefix, item, out)),
        syn::UseTree::Name(name) => leaf(&name.ident, name.span().start().line),
        syn::UseTree::Rename(rename) => leaf(&rename.ident, rename.span().start().line),
        syn::UseTree::Glob(glob) => leaf(&"*", glob.span().start().line),
    }
}
