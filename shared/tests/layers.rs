//! The layers of `src`: a module uses what lies below it, and nothing that lies above.

#![expect(clippy::unwrap_used, reason = "a test ends at what it cannot read")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the lowest to the highest. `contract` describes the routes, and `operator` measures what they ask
/// of the database: they look at everything, and not at each other.
const LAYERS: [&str; 6] = ["clock", "config", "database", "http", "clinic", "contract"];
const OPERATOR: &str = "operator";

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The layers that a source names after `crate::`, in `use` lines and in paths.
fn named(source: &str) -> BTreeSet<String> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line.trim(), " "]).collect();
    let mut named = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        // Of a list in braces, the names at its first level.
        let list = path.strip_prefix('{');
        let mut depth = 0;
        let end = |c: char| match (c, list) {
            ('{', _) => {
                depth += 1;
                false
            }
            ('}', Some(_)) if depth == 0 => true,
            ('}', _) => {
                depth -= 1;
                false
            }
            (';', _) => true,
            _ => false,
        };
        let text = list.unwrap_or(path);
        let text = &text[..text.find(end).unwrap_or(text.len())];
        let mut depth = 0;
        let mut first_level = String::new();
        for c in text.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 {
                first_level.push(c);
            }
        }
        let items = first_level
            .split(',')
            .take(if list.is_some() { usize::MAX } else { 1 });
        let items = items.filter(|item| !item.trim().is_empty());
        named.extend(items.map(|item| {
            item.trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        }));
    }
    named
}

/// The arrows of one file that run up.
fn upward(layer: &str, named: &BTreeSet<String>) -> Vec<String> {
    let height = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let runs_up = |name: &&String| match (layer, name.as_str()) {
        (OPERATOR, "contract") => true,
        (OPERATOR, _) => false,
        (_, OPERATOR) => true,
        (layer, name) => height(name) > height(layer),
    };
    named.iter().filter(runs_up).cloned().collect()
}

#[test]
fn no_arrow_runs_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    for path in sources(&root) {
        let below = path.strip_prefix(&root).unwrap();
        let first = below.iter().next().unwrap().to_str().unwrap();
        let layer = first.trim_end_matches(".rs");
        if matches!(layer, "lib" | "bin") {
            continue;
        }
        seen.insert(layer.to_owned());
        let named = named(&fs::read_to_string(&path).unwrap());
        assert_eq!(
            upward(layer, &named),
            Vec::<String>::new(),
            "{}",
            below.display()
        );
    }
    let known: BTreeSet<String> = LAYERS
        .into_iter()
        .chain([OPERATOR])
        .map(str::to_owned)
        .collect();
    assert_eq!(seen, known);
}

#[test]
fn an_arrow_that_runs_up_is_seen() {
    let names = |source: &str| named(source).into_iter().collect::<Vec<_>>();
    assert_eq!(
        names("use crate::{\n    clock,\n    http::{page, problem::Error},\n};"),
        ["clock", "http"]
    );
    assert_eq!(
        names("use crate::config;\nlet x = crate::clinic::me();"),
        ["clinic", "config"]
    );
    assert_eq!(names("// use crate::http;"), [""; 0]);
    let drawn = named("use crate::{config, http::problem::Problem};");
    assert_eq!(upward("database", &drawn), ["http"]);
    assert_eq!(upward("clinic", &drawn), [""; 0]);
    assert_eq!(
        upward("clinic", &named("use crate::operator::budget;")),
        [OPERATOR]
    );
}
