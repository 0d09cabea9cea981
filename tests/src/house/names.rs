//! Where what a path names is really defined, however often it was re-exported on the way.

use std::collections::BTreeMap;

use super::code::{Imported, Path};
use super::modules::{Module, Modules, Named, Which};

/// A file, those that it takes something from, and what.
pub(super) type Arrows = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Clone, PartialEq, Eq)]
enum Found {
    Module(Which),
    Item {
        file: String,
        name: String,
    },
    /// In another crate.
    Outside,
}

/// The imports that are being followed, each a module and a number: those that lead to themselves are left.
type Followed = Vec<(Which, usize)>;

impl Modules {
    /// What the crate's files take from each other. A module that is only imported is no arrow, since that is where
    /// the names come through, not where they come from.
    pub(super) fn arrows(&self, arrows: &mut Arrows) {
        for (which, module) in self.all.iter().enumerate() {
            let mut taken = Vec::new();
            for (number, import) in module.code.imports.iter().enumerate() {
                let mut followed = vec![(which, number)];
                let found = self.resolve(which, &import.path, &mut followed);
                if let Imported::Everything = import.what {
                    self.everything(which, &found, &mut followed, &mut taken);
                }
                taken.extend(found);
            }
            for path in &module.code.paths {
                taken.extend(self.resolve(which, path, &mut Followed::new()));
            }
            for found in taken {
                if let Found::Item { file, name } = found
                    && file != module.file
                {
                    arrows.entry(module.file.clone()).or_default().entry(file).or_insert(name);
                }
            }
        }
    }

    /// What `use a::*` in `user` may take: the file of `a`, and all that `a` re-exports. Which of it is used can't be seen.
    fn everything(&self, user: Which, of: &[Found], followed: &mut Followed, taken: &mut Vec<Found>) {
        for found in of {
            let Found::Module(which) = *found else { continue };
            let module = &self.all[which];
            taken.push(Found::Item { file: module.file.clone(), name: "*".to_owned() });
            for (number, import) in module.code.imports.iter().enumerate() {
                let seen = !import.private || self.is_below(user, which);
                if !seen || followed.contains(&(which, number)) {
                    continue;
                }
                followed.push((which, number));
                let more = self.resolve(which, &import.path, followed);
                if let Imported::Everything = import.what {
                    self.everything(user, &more, followed, taken);
                }
                taken.extend(more);
            }
        }
    }

    fn is_below(&self, mut module: Which, above: Which) -> bool {
        while let Some(parent) = self.all[module].parent {
            if parent == above {
                return true;
            }
            module = parent;
        }
        false
    }

    fn resolve(&self, from: Which, path: &Path, followed: &mut Followed) -> Vec<Found> {
        let mut names = path.iter().map(String::as_str).peekable();
        let mut module = match names.peek() {
            Some(&"crate") => Some(0),
            Some(&("self" | "super")) => Some(from),
            _ => None,
        };
        if let Some(&("crate" | "self")) = names.peek() {
            names.next();
        }
        while let (Some(which), Some(&"super")) = (module, names.peek()) {
            let Some(parent) = self.all[which].parent else { return Vec::new() };
            module = Some(parent);
            names.next();
        }
        let mut found = match (module, names.peek()) {
            (Some(which), _) => vec![Found::Module(which)],
            // Nothing of that name: another crate, or a type parameter.
            (None, Some(_)) => self.find(from, names.next().unwrap_or_default(), followed),
            (None, None) => Vec::new(),
        };
        for name in names {
            found = self.below(&found, name, followed);
        }
        found
    }

    /// One more name of a path.
    fn below(&self, before: &[Found], name: &str, followed: &mut Followed) -> Vec<Found> {
        let modules = before.iter().filter_map(|found| match found {
            Found::Module(which) => Some(*which),
            _ => None,
        });
        let found: Vec<Found> = modules.clone().flat_map(|which| self.find(which, name, followed)).collect();
        if !found.is_empty() {
            return found;
        }
        // A variant, an associated function: where its type is.
        let others: Vec<Found> =
            before.iter().filter(|found| !matches!(found, Found::Module(_))).cloned().collect();
        if !others.is_empty() {
            return others;
        }
        // A macro has defined it there.
        let made = |which: Which| Found::Item { file: self.all[which].file.clone(), name: name.to_owned() };
        modules.map(made).collect()
    }

    /// What a module calls so.
    fn find(&self, which: Which, name: &str, followed: &mut Followed) -> Vec<Found> {
        let Module { code, names, .. } = &self.all[which];
        let mut all = Vec::new();
        for named in names.get(name).into_iter().flatten() {
            match named {
                Named::Module(child) => all.push(Found::Module(*child)),
                Named::Item(file) => all.push(Found::Item { file: file.clone(), name: name.to_owned() }),
                Named::Outside => all.push(Found::Outside),
                Named::Import(number) if followed.contains(&(which, *number)) => {}
                Named::Import(number) => {
                    followed.push((which, *number));
                    let found = self.resolve(which, &code.imports[*number].path, followed);
                    followed.pop();
                    all.extend(if found.is_empty() { vec![Found::Outside] } else { found });
                }
            }
        }
        if !all.is_empty() {
            return all;
        }
        let globs = code.imports.iter().enumerate();
        for (number, import) in globs.filter(|(_, import)| matches!(import.what, Imported::Everything)) {
            if followed.contains(&(which, number)) {
                continue;
            }
            followed.push((which, number));
            for found in self.resolve(which, &import.path, followed) {
                if let Found::Module(inner) = found {
                    all.extend(self.find(inner, name, followed));
                }
            }
            followed.pop();
        }
        all
    }
}
