//! Overlays of the configuration, laid over the catalogues. One that changes nothing is an error: a policy relies on it.

use std::collections::HashMap;

use crate::config::{Config, OverlayConfig, ServerConfig, Spanned};
use crate::policy::catalog::Catalog;
use crate::policy::overlay::{ANY_TOOL, OverlayError};
use crate::problem::{Problem, Severity, Source, closest};
use crate::reload::files::FileReader;

/// Lays every server's overlays over its catalogue in `catalogs`, unless that did not load.
pub(super) fn overlay(
    reader: &mut FileReader,
    source: &Source,
    config: &Config,
    catalogs: &mut HashMap<String, Catalog>,
) {
    for server in &config.servers {
        match catalogs.get_mut(&server.name) {
            Some(catalog) => reader.problems.extend(over(source, server, catalog)),
            None if server.tools.is_some() => {}
            None => reader.problems.extend(server.overlays.first().map(|overlay| {
                let message = format!("the server `{}` has no `tools`, so its tools have no arguments", server.name);
                let help = "set `tools` to its catalogue, or remove `arguments`".to_owned();
                problem(source, &overlay.argument, message, help)
            })),
        }
    }
}

fn over(source: &Source, server: &ServerConfig, catalog: &mut Catalog) -> Vec<Problem> {
    let overlays: Vec<_> =
        server.overlays.iter().map(|it| (it.tool.value.as_str(), it.argument.value.as_str(), it.overlay)).collect();
    let errors = catalog.overlay(&overlays);
    let found = errors.into_iter().filter_map(|(at, error)| Some((server.overlays.get(at)?, error)));
    found.map(|(overlay, error)| explained(source, catalog, overlay, &error)).collect()
}

fn explained(source: &Source, catalog: &Catalog, overlay: &OverlayConfig, error: &OverlayError) -> Problem {
    let meant = |name: Option<&str>| name.map(|name| format!("did you mean `{name}`?"));
    let any = overlay.tool.value == ANY_TOOL;
    let (place, help) = match error {
        OverlayError::NoTool(tool) => {
            (&overlay.tool, meant(closest(tool, catalog.tools.iter().map(|tool| tool.name.as_str()))))
        }
        OverlayError::NoArgument(argument) => {
            let tools = catalog.tools.iter().filter(|tool| any || tool.name == overlay.tool.value);
            let names = tools.flat_map(|tool| &tool.arguments.fields).map(|field| field.name.as_str());
            (&overlay.argument, meant(closest(argument, names)))
        }
        OverlayError::Unfit { .. } if any => {
            (&overlay.argument, Some("name the tools that it fits, instead of `*`".to_owned()))
        }
        OverlayError::Unfit { .. } => (&overlay.argument, None),
    };
    let help = help.unwrap_or_else(|| {
        "`toolgate schema` prints the types of all arguments; overlays are for those of a tool itself".to_owned()
    });
    problem(source, place, error.to_string(), help)
}

fn problem(source: &Source, place: &Spanned<String>, message: String, help: String) -> Problem {
    let (source, span) = (source.clone(), Some(place.span.clone()));
    Problem { severity: Severity::Error, source, span, message, help: Some(help) }
}
