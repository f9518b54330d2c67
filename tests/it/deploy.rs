//! The files in `deploy/` speak of the program's own names: a dashboard panel or an alert on a metric that nobody
//! emits stays silent for ever, and a misspelt setting in the compose file is not refused by anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What is emitted by those that we watch with, not by us.
const NOT_OURS: [&str; 1] = ["up"];
/// Suffixes that a histogram's name gets on the page of metrics.
const HISTOGRAM_SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Rust sources of the crates that make the binary.
fn sources() -> Vec<String> {
    let mut files = Vec::new();
    let mut folders: Vec<_> =
        ["core", "actors", "analytics", "api"].map(|name| root().join(name).join("src")).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let source = fs::read_to_string(path).unwrap();
                let without_tests = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
                files.push(without_tests.to_owned());
            }
        }
    }
    files
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric that the sources name, by a literal or by a constant of the same file.
fn emitted() -> BTreeMap<String, Kind> {
    let macros = [("counter!(", Kind::Counter), ("gauge!(", Kind::Gauge), ("histogram!(", Kind::Histogram)];
    let mut found = BTreeMap::new();
    for source in sources() {
        for (start, kind) in macros {
            for (at, _) in source.match_indices(&format!("metrics::{start}")) {
                let argument = source[at + "metrics::".len() + start.len()..].trim_start();
                let name = match argument.strip_prefix('"') {
                    Some(literal) => literal.split('"').next().unwrap().to_owned(),
                    None => constant(&source, argument),
                };
                found.insert(name, kind);
            }
        }
    }
    assert!(found.len() > 40, "only {} metrics found in the sources", found.len());
    found
}

fn constant(source: &str, argument: &str) -> String {
    let name: String =
        argument.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    let definition = format!("const {name}: &str = \"");
    let at = source.find(&definition).unwrap_or_else(|| panic!("where is the metric {name} named?"));
    source[at + definition.len()..].split('"').next().unwrap().to_owned()
}

/// Words of an expression that can only be metrics: outside braces, brackets, strings and `by (…)`, and neither a
/// function nor a keyword.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 10] =
        ["and", "or", "unless", "on", "by", "without", "ignoring", "offset", "bool", "group_left"];
    let mut words = BTreeSet::new();
    let mut rest = expression;
    let mut after_grouping = false;
    while let Some(first) = rest.chars().next() {
        let closing = match first {
            '{' => Some('}'),
            '[' => Some(']'),
            '(' if after_grouping => Some(')'),
            _ => None,
        };
        if let Some(closing) = closing {
            rest = rest.split_once(closing).map_or("", |(_, after)| after);
            after_grouping = false;
        } else if first.is_ascii_digit() {
            // A number with its unit or exponent.
            rest = rest
                .trim_start_matches(|character: char| character.is_ascii_alphanumeric() || character == '.');
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest
                .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            after_grouping = matches!(word, "by" | "without" | "on" | "ignoring");
            let is_function = after.trim_start().starts_with('(');
            if !is_function && !KEYWORDS.contains(&word) {
                words.insert(word.to_owned());
            }
        } else {
            if !first.is_whitespace() {
                after_grouping = false;
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    // `sum by (x) (…)`: the aggregation stands before `by`.
    for aggregation in ["sum", "min", "max", "avg", "count"] {
        words.remove(aggregation);
    }
    words
}

/// The metrics of each expression in dashboard and alerts, with where they stand.
fn watched() -> BTreeMap<String, String> {
    let mut watched = BTreeMap::new();
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/dashboards/gonggumoa.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            for metric in metrics_of(target["expr"].as_str().unwrap()) {
                watched.insert(metric, format!("panel {}", panel["title"]));
            }
        }
    }
    let alerts = read("deploy/alerts.yaml");
    for rule in alerts.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let expression = rule.split_once("expr:").unwrap().1;
        let end = ["\n        for:", "\n        labels:"].iter().filter_map(|key| expression.find(key)).min();
        let expression = expression[..end.unwrap()].trim_start().trim_start_matches(">-");
        for metric in metrics_of(expression) {
            watched.insert(metric, format!("alert {name}"));
        }
    }
    watched
}

#[test]
fn dashboard_and_alerts_watch_what_is_emitted() {
    let emitted = emitted();
    let mut unknown = Vec::new();
    for (metric, place) in watched() {
        let of_histogram = HISTOGRAM_SUFFIXES.iter().any(|suffix| {
            metric.strip_suffix(suffix).is_some_and(|name| emitted.get(name) == Some(&Kind::Histogram))
        });
        let plain = emitted.get(&metric).is_some_and(|kind| *kind != Kind::Histogram);
        if !plain && !of_histogram && !NOT_OURS.contains(&metric.as_str()) {
            unknown.push(format!("{metric} ({place})"));
        }
    }
    assert!(unknown.is_empty(), "nobody emits {unknown:#?}");
}

#[test]
fn counters_end_in_total_and_nothing_else_does() {
    for (metric, kind) in emitted() {
        assert_eq!(metric.ends_with("_total"), kind == Kind::Counter, "{metric} is a {kind:?}");
    }
}

#[test]
fn what_an_expression_watches_is_found() {
    let of = |expression| metrics_of(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(
        of("histogram_quantile(0.99, sum by (instance, le) (rate(a_seconds_bucket{x=~\"y\"}[10m]))) > 1e6"),
        ["a_seconds_bucket"]
    );
    assert_eq!(
        of("sum(increase(b_total[15m])) > 0 or sum(c unless c offset 15m) and on () absent(d)"),
        ["b_total", "c", "d"]
    );
}

/// Names that stand at the beginning of lines like `NAME=…`, commented out or not.
fn settings(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_setting(name))
        .collect()
}

fn is_setting(name: &str) -> bool {
    let fits =
        |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    !name.is_empty() && name.chars().all(fits)
}

/// A top-level block of the compose file.
fn block<'a>(compose: &'a str, name: &str) -> &'a str {
    let at = compose.find(&format!("\n{name}:")).unwrap_or_else(|| panic!("no {name}")) + 1;
    let end = compose[at..].find("\n\n").map_or(compose.len(), |end| at + end);
    &compose[at..end]
}

#[test]
fn the_compose_file_gives_settings_that_exist() {
    let known = settings(&read(".env.example"));
    let compose = read("deploy/compose.yaml");
    let mut given = 0;
    for name in ["x-environment", "x-edge", "x-judge", "x-api"] {
        let block = block(&compose, name).replace(['{', ','], "\n");
        for (name, _) in block.lines().filter_map(|line| line.trim().split_once(": ")) {
            if is_setting(name) {
                assert!(known.contains(name), "{name} is not in .env.example");
                given += 1;
            }
        }
    }
    assert!(given > 30, "only {given} settings found");
}

#[test]
fn no_secret_of_the_compose_file_has_a_default() {
    let compose = read("deploy/compose.yaml");
    let example = read("deploy/.env.example");
    let offered = settings(&example);
    for (at, _) in compose.match_indices("${") {
        let inside = compose[at + 2..].split('}').next().unwrap();
        let name = inside.split([':', '?', '-']).next().unwrap();
        assert!(offered.contains(name), "{name} is not in deploy/.env.example");
        let is_secret = ["PASSWORD", "SECRET", "KEY"].iter().any(|part| name.contains(part));
        // The first admin is made only if somebody gives both.
        if is_secret && name != "ADMIN_PASSWORD" {
            assert!(inside.contains(":?"), "{name} is not insisted on");
            assert!(
                example.lines().any(|line| line == format!("{name}=")),
                "{name} has a value in the example"
            );
        }
    }
}

#[test]
fn a_container_is_killed_only_after_the_program_gave_up() {
    let compose = read("deploy/compose.yaml");
    let seconds = |text: &str, key: &str| -> u64 {
        let after = text.split_once(key).unwrap_or_else(|| panic!("no {key}")).1;
        let digits: String =
            after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let grace = seconds(block(&compose, "x-ours"), "stop_grace_period:");
    assert!(grace > seconds(block(&compose, "x-environment"), "SHUTDOWN_TIMEOUT_SECONDS:"));
}
