//! Finds what can be changed in a source, and writes one source in which each change can be chosen at run time.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{
    Arm, Attribute, BinOp, Expr, ExprBinary, ExprIf, ExprMethodCall, ExprPath, File, Ident, ImplItemFn, Item,
    ItemConst, ItemFn, ItemMod, Lit, Signature, UnOp, parse_quote,
};

/// One change at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// By this the program is told which one it is to be; from 1.
    pub(crate) number: u32,
    /// From 1.
    pub(crate) line: usize,
    /// What stays the same when lines move: file, function, expression, change.
    pub(crate) name: String,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {})", self.name, self.line)
    }
}

/// What is changed beside comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A source that decides: sums of times too.
    Decides,
    /// A source that computes times: all arithmetic.
    Computes,
}

/// Sources with all their mutants in them.
#[derive(Debug, Default)]
pub(crate) struct Mutants {
    pub(crate) all: Vec<Mutant>,
    sources: Vec<(String, File)>,
    names: BTreeSet<String>,
}

impl Mutants {
    /// Adds a source.
    pub(crate) fn add(&mut self, file: &str, source: &str, kind: Kind) -> Result<()> {
        let mut syntax = syn::parse_file(source).with_context(|| format!("read {file}"))?;
        let constants = match kind {
            Kind::Decides => BTreeSet::new(),
            Kind::Computes => syntax.items.iter().filter_map(name_of_number).collect(),
        };
        Finder { file, kind, constants, functions: Vec::new(), mutants: self }.visit_file_mut(&mut syntax);
        self.sources.push((file.to_owned(), syntax));
        Ok(())
    }

    /// The sources as they are to be compiled.
    pub(crate) fn sources(mut self) -> Vec<(String, String)> {
        let mut files: Vec<&mut File> = self.sources.iter_mut().map(|(_, file)| file).collect();
        strip_const(&mut files);
        let text = |file: File| file.into_token_stream().to_string();
        self.sources.into_iter().map(|(name, file)| (name, text(file))).collect()
    }

    /// Each name is of one mutant only.
    fn name(&mut self, name: String) -> String {
        let several = (2..).map(|count| format!("{name} #{count}"));
        let name = std::iter::once(name.clone()).chain(several).find(|name| !self.names.contains(name));
        let name = name.unwrap_or_default();
        self.names.insert(name.clone());
        name
    }
}

/// The module that the changed sources ask which mutant they are.
pub(crate) const CHOOSER: &str = "
pub(crate) fn is(number: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let chosen = || std::env::var(\"LVS_MUTANT\").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    *CHOSEN.get_or_init(chosen) == number
}
";

/// Goes through a source and puts a choice in place of whatever can be changed.
struct Finder<'a> {
    file: &'a str,
    kind: Kind,
    /// Constants that are computed: they become functions.
    constants: BTreeSet<String>,
    functions: Vec<String>,
    mutants: &'a mut Mutants,
}

/// What an expression can be changed to, and how that is called.
type Changes = Vec<(String, Expr)>;

impl Finder<'_> {
    /// The choice between the changes and the expression as it is.
    fn choose(&mut self, expression: &mut Expr, text: &str, line: usize, changes: Changes) {
        let mut choice = expression.clone();
        for (change, changed) in changes.into_iter().rev() {
            let function = self.functions.last().map_or("", String::as_str);
            let name = self.mutants.name(format!("{} {function}: {text} [{change}]", self.file));
            let number = u32::try_from(self.mutants.all.len() + 1).unwrap_or(u32::MAX);
            self.mutants.all.push(Mutant { number, line, name });
            choice = parse_quote!(if crate::mutant::is(#number) { #changed } else { #choice });
        }
        *expression = parse_quote!((#choice));
    }

    fn changes(&self, expression: &Expr) -> Changes {
        match expression {
            Expr::Binary(binary) => self.of_binary(binary),
            Expr::MethodCall(call) => self.of_call(call),
            // A call that is negated is changed already.
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) && !is_choice(&unary.expr) => {
                vec![("without !".to_owned(), (*unary.expr).clone())]
            }
            Expr::Path(path) => self.of_path(path),
            Expr::Lit(literal) if self.kind == Kind::Computes => match &literal.lit {
                Lit::Int(number) if number.base10_digits().len() > 1 => {
                    vec![("one more".to_owned(), parse_quote!((#literal + 1)))]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn of_binary(&self, binary: &ExprBinary) -> Changes {
        let ExprBinary { left, right, .. } = binary;
        let computes = self.kind == Kind::Computes;
        let others: &[BinOp] = match binary.op {
            BinOp::Ge(_) => &[parse_quote!(>), parse_quote!(<)],
            BinOp::Le(_) => &[parse_quote!(<), parse_quote!(>)],
            BinOp::Gt(_) => &[parse_quote!(>=), parse_quote!(<)],
            BinOp::Lt(_) => &[parse_quote!(<=), parse_quote!(>)],
            BinOp::Eq(_) => &[parse_quote!(!=)],
            BinOp::Ne(_) => &[parse_quote!(==)],
            BinOp::And(_) if !has_let(left) && !has_let(right) => &[parse_quote!(||)],
            BinOp::Or(_) => &[parse_quote!(&&)],
            BinOp::Add(_) => &[parse_quote!(-)],
            BinOp::Sub(_) if computes => &[parse_quote!(+)],
            BinOp::Mul(_) if computes => &[parse_quote!(/)],
            BinOp::Div(_) if computes => &[parse_quote!(*)],
            _ => &[],
        };
        let from = binary.op.to_token_stream();
        let change = |to: &BinOp| {
            let changed = parse_quote!(#left #to #right);
            (format!("{from} -> {}", to.to_token_stream()), changed)
        };
        others.iter().map(change).collect()
    }

    fn of_call(&self, call: &ExprMethodCall) -> Changes {
        let ExprMethodCall { receiver, args, method, .. } = call;
        let name = method.to_string();
        let to = |other: &str| {
            let method = Ident::new(other, method.span());
            (format!("{name} -> {other}"), parse_quote!(#receiver.#method(#args)))
        };
        match name.as_str() {
            "min" => vec![to("max")],
            "max" => vec![to("min")],
            "saturating_add" if self.kind == Kind::Computes => vec![to("saturating_sub")],
            "saturating_sub" if self.kind == Kind::Computes => vec![to("saturating_add")],
            "saturating_mul" if self.kind == Kind::Computes => {
                vec![("once more".to_owned(), parse_quote!(#receiver.saturating_mul(1 + #args)))]
            }
            "cmp" => vec![
                ("reversed".to_owned(), parse_quote!(#call.reverse())),
                ("equal is less".to_owned(), parse_quote!(#call.then(std::cmp::Ordering::Less))),
                ("equal is greater".to_owned(), parse_quote!(#call.then(std::cmp::Ordering::Greater))),
            ],
            _ if name.starts_with("is_") => vec![("not".to_owned(), parse_quote!(!#call))],
            _ => Vec::new(),
        }
    }

    /// `Instant::min` and the like; constants that have become functions are called.
    fn of_path(&self, path: &ExprPath) -> Changes {
        let (true, Some(last)) = (path.path.segments.len() > 1, path.path.segments.last()) else {
            return Vec::new();
        };
        let other = match last.ident.to_string().as_str() {
            "min" => "max",
            "max" => "min",
            _ => return Vec::new(),
        };
        let mut changed = path.clone();
        if let Some(last) = changed.path.segments.last_mut() {
            last.ident = Ident::new(other, last.ident.span());
        }
        vec![(format!("{} -> {other}", last.ident), Expr::Path(changed))]
    }

    /// A condition that is no comparison itself.
    fn negate(&mut self, condition: &mut Expr) {
        let is_plain = match condition {
            Expr::Path(_) | Expr::Field(_) => true,
            Expr::MethodCall(call) => !call.method.to_string().starts_with("is_"),
            _ => false,
        };
        if is_plain {
            let (text, line) = text(condition);
            let changes = vec![("not".to_owned(), parse_quote!(!#condition))];
            self.choose(condition, &text, line, changes);
        }
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, visit: impl FnOnce(&mut Self)) {
        if is_test(attributes) {
            return;
        }
        self.functions.push(signature.ident.to_string());
        visit(self);
        self.functions.pop();
    }
}

impl VisitMut for Finder<'_> {
    fn visit_item_mod_mut(&mut self, module: &mut ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit_mut::visit_item_mod_mut(self, module);
        }
    }

    fn visit_item_fn_mut(&mut self, function: &mut ItemFn) {
        let (attributes, signature) = (function.attrs.clone(), function.sig.clone());
        self.function(&attributes, &signature, |finder| {
            syn::visit_mut::visit_block_mut(finder, &mut function.block);
        });
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut ImplItemFn) {
        let (attributes, signature) = (function.attrs.clone(), function.sig.clone());
        self.function(&attributes, &signature, |finder| {
            syn::visit_mut::visit_block_mut(finder, &mut function.block);
        });
    }

    /// What a constant is cannot be chosen at run time, but what a function gives can.
    fn visit_item_mut(&mut self, item: &mut Item) {
        if let Item::Const(constant) = &*item
            && self.constants.contains(&constant.ident.to_string())
        {
            let ItemConst { ident, ty, expr, .. } = constant;
            *item = parse_quote!(#[allow(non_snake_case)] fn #ident() -> #ty { #expr });
        }
        syn::visit_mut::visit_item_mut(self, item);
    }

    fn visit_item_const_mut(&mut self, _: &mut ItemConst) {}

    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}

    fn visit_type_mut(&mut self, _: &mut syn::Type) {}

    fn visit_expr_if_mut(&mut self, branch: &mut ExprIf) {
        syn::visit_mut::visit_expr_if_mut(self, branch);
        self.negate(&mut branch.cond);
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        syn::visit_mut::visit_arm_mut(self, arm);
        if let Some((_, guard)) = &mut arm.guard {
            self.negate(guard);
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        let (text, line) = text(expression);
        syn::visit_mut::visit_expr_mut(self, expression);
        let changes = self.changes(expression);
        if !changes.is_empty() {
            self.choose(expression, &text, line, changes);
        } else if let Expr::Path(path) = &*expression
            && path.path.get_ident().is_some_and(|name| self.constants.contains(&name.to_string()))
        {
            *expression = parse_quote!(#path());
        }
    }
}

/// What was written there, on one line.
fn text(expression: &Expr) -> (String, usize) {
    let span = expression.span();
    let text = span.source_text().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    (words.join(" "), span.start().line)
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.to_token_stream().to_string().contains("test")
    })
}

/// A constant that is a bare number.
fn name_of_number(item: &Item) -> Option<String> {
    match item {
        Item::Const(constant) if matches!(&*constant.ty, syn::Type::Path(path) if path.path.is_ident("u64")) => {
            Some(constant.ident.to_string())
        }
        _ => None,
    }
}

fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn is_choice(expression: &Expr) -> bool {
    matches!(expression, Expr::Paren(paren) if matches!(&*paren.expr, Expr::If(_)))
}

/// A function that asks which mutant it is cannot be const, nor can one that calls such a function; functions are
/// told apart by their names only, so some lose it without need.
fn strip_const(files: &mut [&mut File]) {
    let mut stripper = Stripper { names: BTreeSet::from(["mutant".to_owned()]), has_changed: true };
    while std::mem::take(&mut stripper.has_changed) {
        for file in &mut *files {
            stripper.visit_file_mut(file);
        }
    }
}

struct Stripper {
    names: BTreeSet<String>,
    has_changed: bool,
}

impl Stripper {
    fn strip(&mut self, signature: &mut Signature, body: &syn::Block) {
        let is_new = !self.names.contains(&signature.ident.to_string());
        if (is_new || signature.constness.is_some()) && self.is_in(body.to_token_stream()) {
            signature.constness = None;
            self.names.insert(signature.ident.to_string());
            self.has_changed = true;
        }
    }

    fn is_in(&self, tokens: proc_macro2::TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Group(group) => self.is_in(group.stream()),
            proc_macro2::TokenTree::Ident(name) => self.names.contains(&name.to_string()),
            proc_macro2::TokenTree::Punct(_) | proc_macro2::TokenTree::Literal(_) => false,
        })
    }
}

impl VisitMut for Stripper {
    fn visit_item_fn_mut(&mut self, function: &mut ItemFn) {
        self.strip(&mut function.sig, &function.block);
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut ImplItemFn) {
        self.strip(&mut function.sig, &function.block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutants(source: &str, kind: Kind) -> (Vec<String>, String) {
        let mut mutants = Mutants::default();
        mutants.add("a.rs", source, kind).expect("it is Rust");
        let names = mutants.all.iter().map(|mutant| mutant.name.clone()).collect();
        (names, mutants.sources().remove(0).1)
    }

    #[test]
    fn every_comparison_is_changed_once_in_each_way_and_tests_are_left_alone() {
        let source = "
            const fn f() -> bool { if a >= b && !c { g(d.cmp(&e)); g(d.cmp(&e)) } else { is_late } }
            const fn h() -> u64 { if let Some(x) = y && z { f() + 1 } else { 2 } }
            #[cfg(test)]
            mod tests { fn f() -> bool { a < b } }
        ";
        let (names, text) = mutants(source, Kind::Decides);
        assert_eq!(
            names,
            [
                "a.rs f: a >= b [>= -> <]",
                "a.rs f: a >= b [>= -> >]",
                "a.rs f: !c [without !]",
                "a.rs f: a >= b && !c [&& -> ||]",
                "a.rs f: d.cmp(&e) [equal is greater]",
                "a.rs f: d.cmp(&e) [equal is less]",
                "a.rs f: d.cmp(&e) [reversed]",
                "a.rs f: d.cmp(&e) [equal is greater] #2",
                "a.rs f: d.cmp(&e) [equal is less] #2",
                "a.rs f: d.cmp(&e) [reversed] #2",
                "a.rs h: f() + 1 [+ -> -]",
            ]
        );
        // What asks at run time which mutant it is cannot be const, nor what calls it.
        assert!(!text.contains("const"), "{text}");
        assert!(syn::parse_file(&text).is_ok(), "{text}");
    }

    #[test]
    fn arithmetic_is_changed_where_time_is_computed() {
        let source = "
            const fn f() -> u64 { x.saturating_mul(2) - SECOND }
            const SECOND: u64 = 1_000;
        ";
        let (names, text) = mutants(source, Kind::Computes);
        assert_eq!(
            names,
            [
                "a.rs f: x.saturating_mul(2) [once more]",
                "a.rs f: x.saturating_mul(2) - SECOND [- -> +]",
                "a.rs SECOND: 1_000 [one more]",
            ]
        );
        assert!(text.contains("SECOND ()") && !text.contains("const"), "{text}");
    }
}
