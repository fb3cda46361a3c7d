//! What records show of values, held against what there is. A path that names nothing is an error: whoever wrote it relies
//! on something not being shown, and a misspelt name hides nothing.

use std::collections::HashMap;

use crate::config::{Config, ValuePath};
use crate::policy::catalog::Catalog;
use crate::policy::values::{Known, path};
use crate::problem::{Problem, Severity, Source, closest};
use crate::reload::files::FileReader;
use crate::token::ClaimType;

/// Reports the paths of the configuration at which no policy can read anything that a record shows.
pub(super) fn check_paths(
    reader: &mut FileReader,
    source: &Source,
    config: &Config,
    catalogs: &HashMap<String, Catalog>,
    claims: &[(&str, ClaimType)],
) {
    // Without a catalogue that has problems of its own, its arguments are not known.
    if config.servers.iter().any(|server| server.tools.is_some() && !catalogs.contains_key(&server.name)) {
        return;
    }
    let known = Known {
        arguments: catalogs.values().flat_map(|catalog| &catalog.tools).map(|tool| &tool.arguments).collect(),
        claims: claims.iter().map(|(name, _)| *name).collect(),
    };
    reader.problems.extend(config.audit.values.paths.iter().filter_map(|each| unknown(source, each, &known)));
}

fn unknown(source: &Source, each: &ValuePath, known: &Known<'_>) -> Option<Problem> {
    let names = &each.names.value;
    let written = |names: &[String]| path(names.iter().map(String::as_str));
    let found = names.iter().enumerate().skip(1).find_map(|(at, name)| {
        let before = names.get(..at)?;
        let after = known.after(before);
        (!after.contains(name.as_str())).then_some((before, name, after))
    });
    let (before, name, after) = found?;
    let help = match closest(name, after.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if after.is_empty() => {
            format!("name `{}` itself, nothing below it has a path of its own", written(before))
        }
        None => {
            "`toolgate schema` prints all arguments and claims; what a record has in a member of its own has no path"
                .to_owned()
        }
    };
    Some(Problem {
        severity: Severity::Error,
        source: source.clone(),
        span: Some(each.names.span.clone()),
        message: format!("`audit.values.paths` names `{}`, which is no value that a record shows", written(names)),
        help: Some(help),
    })
}
