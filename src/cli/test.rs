//! `toolgate test`: cases with what should be decided about each.

mod cases;
mod files;
mod report;

use std::path::{Path, PathBuf};

use super::{ConfigFile, Exit, Format, color, summary};
use crate::clock::Clock;
use crate::config::Known;
use crate::context::UnixTime;
use crate::problem::{Problem, ProblemJson, render};
use crate::reload::load::{Loaded, load};

pub(super) const EXAMPLE: &str = r"Example, tests/weather.yaml beside the configuration:
  server: weather
  now: 2026-03-02T09:30             # in the configured time zone; without it, the present moment
  people:
    ada: {sub: ada, client_id: agent, scope: 'weather:read'}
  cases:
  - name: a week ahead
    who: ada
    tool: get_forecast
    arguments: {city: Oslo, days: 7}
    expect: allow
  - name: and no further
    who: ada
    tool: get_forecast
    arguments: {city: Oslo, days: 8}
    expect: deny
  - name: with another scope, and the caller is told which
    who: {sub: bob}
    tool: get_forecast
    arguments: {city: Oslo}
    expect: {decision: scope_insufficient, scopes: ['weather:read']}

  toolgate test -c toolgate.yaml
  toolgate test -c toolgate.yaml tests/weather.yaml --format json

A case asks for a `tool` with `arguments`, a `prompt`, a `resource`, a `task`, another `method` with `params`, or with a
`message` word for word. `expect` is `allow`, `deny` (the policies say no), or the name of any other outcome. docs/testing.md
has every key.

Exit codes: 0 all cases pass, 1 some fail, 3 invalid configuration or test file.";

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    file: ConfigFile,
    /// Files of cases, or folders with such (*.yaml, *.yml at any depth). Default: `tests` beside the configuration file
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Test {
    pub(super) fn run(self) -> Exit {
        let loaded = match load(&self.file.config) {
            Ok(loaded) => loaded,
            Err(failure) => return self.invalid(&failure.problems),
        };
        let (suites, problems) = files::suites(&self.paths(), &known(&loaded));
        if !problems.is_empty() {
            return self.invalid(&problems);
        }
        let outcomes: Vec<_> = suites.iter().flat_map(|suite| cases::outcomes(suite, &loaded)).collect();
        let idle = cases::never_decided(&loaded, &outcomes);
        match self.format {
            Format::Text => print!("{}", report::text(&outcomes, &idle)),
            Format::Json => println!("{:#}", report::json(&outcomes, &idle)),
        }
        if outcomes.iter().all(cases::Outcome::passed) { Exit::Success } else { Exit::Failure }
    }

    fn paths(&self) -> Vec<PathBuf> {
        if self.paths.is_empty() {
            let folder = self.file.config.parent().unwrap_or(Path::new(""));
            return vec![folder.join("tests")];
        }
        self.paths.clone()
    }

    fn invalid(&self, problems: &[Problem]) -> Exit {
        match self.format {
            Format::Text => eprintln!("{}\n\n{}", render(problems, color()), summary(problems)),
            Format::Json => {
                let report = serde_json::json!({ "ok": false, "problems": ProblemJson::list(problems) });
                println!("{report:#}");
            }
        }
        Exit::Invalid
    }
}

fn known(loaded: &Loaded) -> Known<'_> {
    let issuers = loaded.config.issuers.iter().map(|issuer| &issuer.rules);
    Known {
        issuers: issuers.map(|rules| (rules.name.as_str(), rules.issuer.as_str())).collect(),
        servers: loaded.rules.servers.iter().map(|server| server.name.clone()).collect(),
        policies: loaded.rules.engine.bundle().iter().map(|policy| policy.id.to_string()).collect(),
        has_client_address: loaded.rules.client_address.is_some(),
        zone: &loaded.rules.zone,
        // Tokens count in seconds: a login five minutes ago is one by this clock.
        now: UnixTime::from_seconds(Clock::System.now().seconds()),
    }
}
