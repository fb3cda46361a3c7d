//! `toolgate schema`.

use super::{ConfigFile, Exit, Format, loaded};

pub(super) const EXAMPLE: &str = "Example:
  toolgate schema -c toolgate.yaml > toolgate.cedarschema

Exit codes: 0 printed, 3 invalid configuration.";

#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    #[command(flatten)]
    file: ConfigFile,
    /// Cedar's schema syntax, or its JSON form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Schema {
    pub(super) fn run(self) -> Exit {
        let loaded = match loaded(&self.file.config) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        match self.format {
            Format::Text => print!("{}", loaded.schema),
            Format::Json => {
                let json = cedar_policy::SchemaFragment::from_cedarschema_str(&loaded.schema)
                    .map_err(|error| error.to_string())
                    .and_then(|(fragment, _)| fragment.to_json_string().map_err(|error| error.to_string()));
                match json {
                    Ok(json) => println!("{json}"),
                    Err(error) => {
                        eprintln!("the schema has no JSON form: {error}");
                        return Exit::Failure;
                    }
                }
            }
        }
        Exit::Success
    }
}
