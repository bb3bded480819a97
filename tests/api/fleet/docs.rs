//! What README.md and docs/ say: commands that run, links and paths that lead somewhere, questions that are
//! answered.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use fleet::database::Database;
use nix::sys::signal::Signal;
use tempfile::TempPath;

use super::run::{self, Running};

/// Where the text says that the API listens.
const DOCUMENTED: &str = "http://127.0.0.1:3000";
/// What begins the reason why a block of commands is not run.
const MARK: &str = "<!-- not run";
/// Stands for what differs from one run to the next.
const ELLIPSIS: char = '…';
/// What the shell prints between two commands.
const BETWEEN: &str = "===== next =====";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(&path))
        .unwrap_or_else(|error| panic!("{error}: {:?}", path.as_ref()))
}

/// README.md, CONTRIBUTING.md and every page of docs/, with their paths from the repository's root.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    for folder in ["docs", "docs/design"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            let page = Path::new(folder).join(name);
            if page.extension().is_some_and(|extension| extension == "md") {
                pages.push(page);
            }
        }
    }
    pages.sort();
    pages
        .into_iter()
        .map(|page| (page.clone(), read(page)))
        .collect()
}

/// A fenced block.
struct Block {
    /// Where it stands.
    place: String,
    language: String,
    lines: Vec<String>,
    /// Why it is not run, if it says so.
    mark: Option<String>,
}

fn blocks(page: &Path, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().map(|(_, line)| line);
            let inside = inside.take_while(|line| line.trim() != "```");
            blocks.push(Block {
                place: format!("{}:{}", page.display(), number + 1),
                language: language.to_owned(),
                lines: inside
                    .map(|line| line.get(indent..).unwrap_or_default().to_owned())
                    .collect(),
                mark: before.strip_prefix(MARK).map(|rest| {
                    let reason = rest.strip_suffix("-->").expect("a mark on one line");
                    reason.trim_start_matches(':').trim().to_owned()
                }),
            });
            before = "";
        } else {
            before = line.trim();
        }
    }
    blocks
}

/// The text outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// What commands meet.
struct Shell {
    cargo: TempPath,
    url: String,
    /// What `headroom --database-url` asks.
    database_url: String,
}

impl Shell {
    /// Runs a block's commands in one shell, in the repository's root, and compares what a console shows.
    fn run(&self, block: &Block) -> Result<(), String> {
        if block.language == "sh" {
            return self.say(&[block.lines.join("\n")]).map(drop);
        }
        let (commands, shown) = conversation(block);
        let printed = self.say(&commands)?;
        for ((command, shown), printed) in commands.iter().zip(&shown).zip(&printed) {
            if !shows(printed, shown) {
                return Err(format!(
                    "{command}\nprints\n{printed}\nand not\n{}",
                    shown.join("\n")
                ));
            }
        }
        Ok(())
    }

    /// What each of the commands prints.
    fn say(&self, commands: &[String]) -> Result<Vec<String>, String> {
        let commands = commands.join(&format!("\nprintf '\\n%s\\n' '{BETWEEN}'\n"));
        let script = format!(
            "set -euo pipefail\nheadroom() {{ \"$CARGO\" run --bin headroom -- \"$@\"; }}\n{commands}\n"
        );
        let output = Command::new("bash")
            .args(["-c", &script.replace(DOCUMENTED, &self.url)])
            .current_dir(root())
            .env("CARGO", &*self.cargo)
            .env("PORT", self.url.rsplit(':').next().unwrap())
            .env("DATABASE_URL", &self.database_url)
            // Those of a make above this one would be taken for its own.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}\n{printed}\n{said}", output.status));
        }
        Ok(printed.split(BETWEEN).map(str::to_owned).collect())
    }
}

/// Commands of a console, and what the page shows of their output.
fn conversation(block: &Block) -> (Vec<String>, Vec<Vec<&str>>) {
    let (mut commands, mut shown) = (Vec::new(), Vec::<Vec<&str>>::new());
    for line in &block.lines {
        match line.strip_prefix("$ ") {
            Some(command) => {
                commands.push(command.to_owned());
                shown.push(Vec::new());
            }
            None => shown.last_mut().expect("a command first").push(line),
        }
    }
    (commands, shown)
}

/// Whether the parts that are shown come in the output, in this order.
fn shows(output: &str, shown: &[&str]) -> bool {
    let parts = shown.iter().flat_map(|line| line.split(ELLIPSIS));
    let mut rest = output;
    parts.filter(|part| !part.is_empty()).all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or("", |(_, rest)| rest);
        found.is_some()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_commands_runs_or_says_why_not() {
    let database = Database::builder().start().await.unwrap();
    let Running { child, url, .. } = run::start(&database.url());
    // The role that is watched is the one with a limit.
    sqlx::raw_sql("create role watched login connection limit 90")
        .execute(&mut database.admin().await.unwrap())
        .await
        .unwrap();
    let shell = Shell {
        cargo: run::cargo(),
        url,
        database_url: database.admin_url(),
    };
    let (mut ran, mut marked, mut wrong) = (0, 0, Vec::new());
    for (page, text) in pages() {
        for block in blocks(&page, &text) {
            let commands = ["sh", "console"].contains(&block.language.as_str());
            let result = match block.mark.as_deref() {
                Some("") => Err("a mark without a reason".to_owned()),
                Some(_) if !commands => Err("a mark on what is no command".to_owned()),
                Some(_) => {
                    marked += 1;
                    Ok(())
                }
                None if commands => {
                    ran += 1;
                    shell.run(&block)
                }
                None if ["", "sql", "toml", "yaml"].contains(&block.language.as_str()) => Ok(()),
                None => Err(format!("is `{}` a language of commands?", block.language)),
            };
            wrong.extend(result.err().map(|why| format!("{}: {why}", block.place)));
        }
    }
    assert!(run::end(child, Signal::SIGTERM).await);
    database.shutdown().await.unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // Both kinds were found, so that neither is overlooked.
    assert!(ran > 0 && marked > 0, "{ran} ran, {marked} are marked");
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(anchor).collect()
}

/// What stands between `begin` and `end`, wherever it does.
fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin)
        .skip(1)
        .filter_map(move |rest| Some(rest.split_once(end)?.0))
}

/// Whether it reads like a path of this repository.
fn is_a_path(text: &str) -> bool {
    const FOLDERS: [&str; 8] = [
        "functions/",
        "shared/",
        "tests/",
        "docs/",
        ".ci/",
        ".cargo/",
        ".sqlx/",
        ".github/",
    ];
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.chars().all(plain)
        && (FOLDERS.iter().any(|folder| text.starts_with(folder))
            || [".yaml", ".toml", ".md", ".rs"]
                .iter()
                .any(|end| text.ends_with(end))
                && !text.contains('/'))
}

/// Paths in backticks.
fn paths(text: &str) -> Vec<&str> {
    let lines = prose(text);
    let code = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    code.filter(|code| is_a_path(code)).collect()
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        let prose: Vec<&str> = prose(&text).collect();
        for link in between(&prose.join("\n"), "](", ")") {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let there = root().join(&target).exists()
                && (heading.is_empty() || anchors(&read(&target)).contains(heading));
            if !there {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
        let missing = paths(&text).into_iter().filter(|path| {
            // Files that the text makes, takes along as examples, or says are missing.
            !["traffic.toml", "specialties.rs", "rust-toolchain.toml"].contains(path)
                && !root().join(path).exists()
        });
        wrong.extend(missing.map(|path| format!("{}: `{path}`", page.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_fits_a_page_and_the_architecture_answers_in_five_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 120, "README.md has {lines} lines");

    let text = read("docs/architecture.md");
    let sections = text.split("\n### ").skip(1);
    let answers: Vec<&str> = sections
        .filter_map(|text| text.split("\n#").next())
        .collect();
    let questions: Vec<&str> = answers
        .iter()
        .filter_map(|answer| answer.lines().next())
        .collect();
    assert_eq!(
        questions,
        [
            "Where is a route's SQL?",
            "What happens if the database is full?",
            "How is a field added to an appointment?",
            "What is typed to deploy?",
        ]
    );
    for answer in answers {
        let lines = answer.lines().skip(1).filter(|line| !line.is_empty());
        assert!(lines.count() <= 5, "{answer}");
        assert!(!paths(answer).is_empty(), "no path: {answer}");
    }
}

#[test]
fn the_index_of_the_design_lists_every_question() {
    let index = read("docs/design/README.md");
    for (page, text) in pages() {
        if page.parent() != Some(Path::new("docs/design")) || page.ends_with("README.md") {
            continue;
        }
        let name = page.file_name().unwrap().to_str().unwrap();
        for question in prose(&text).filter_map(|line| line.strip_prefix("### ")) {
            let line = format!("- [{question}]({name}#{})", anchor(question));
            assert!(
                index.lines().any(|listed| listed == line),
                "not in the index: {line}"
            );
        }
    }
}

#[test]
fn every_alarm_has_a_runbook() {
    let template = read("template.yaml");
    let lines: Vec<&str> = template.lines().collect();
    let alarms = lines.windows(2).filter_map(|pair| {
        let alarm = pair[1].trim() == "Type: AWS::CloudWatch::Alarm";
        alarm.then(|| pair[0].trim().trim_end_matches(':'))
    });
    let alarms: BTreeSet<String> = alarms.map(str::to_owned).collect();
    let text = read("docs/operating.md");
    let runbooks = prose(&text).filter_map(|line| line.strip_prefix("### "));
    assert_eq!(
        runbooks.map(str::to_owned).collect::<BTreeSet<String>>(),
        alarms
    );
}

/// The only folder that reads variables is the one that the page describes.
#[test]
fn every_variable_is_described() {
    let page = read("docs/configuration.md");
    let mut missing = BTreeSet::new();
    for file in [
        "../config.rs",
        "database.rs",
        "lease.rs",
        "migration.rs",
        "source.rs",
    ] {
        let code = read(Path::new("shared/src/config").join(file));
        let names = code.split('"').skip(1).step_by(2).filter(|text| {
            text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        missing.extend(
            names
                .filter(|name| !page.contains(*name))
                .map(str::to_owned),
        );
    }
    assert!(
        missing.is_empty(),
        "not in docs/configuration.md: {missing:?}"
    );
}
