//! The catalogues of real servers (`TOOLGATE_CORPORA`): what of their tools policies can read.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_policy::Schema;

use crate::policy::arguments::Unexposed;
use crate::policy::bundle::{Bundle, PolicyFile};
use crate::policy::catalog::{Catalog, CataloguedTool};
use crate::policy::exposure::Exposure;
use crate::policy::model::Maker;
use crate::policy::names::{owned, quoted};
use crate::policy::parts::Parts;
use crate::policy::schema::{SchemaInput, ServerSchema, schema};
use crate::problem::Source;

/// A policy that asks for every argument of `tool`, and is about it alone.
fn policy(server: &str, tool: &CataloguedTool) -> PolicyFile {
    let action = quoted(&owned(server, &tool.name));
    let mut conditions = vec!["resource.destructive".to_owned()];
    conditions.extend(tool.arguments.fields.iter().map(|field| {
        let name = quoted(&field.name);
        format!("context.arguments has {name} && context.arguments[{name}] == context.arguments[{name}]")
    }));
    let (resource, condition) = (format!("Tool::{action}"), conditions.join(" || "));
    let text = format!(
        "@id({action}) permit (principal, action == Action::{action}, resource == {resource}) when {{ {condition} }};"
    );
    PolicyFile { name: tool.name.clone(), source: Source::new(tool.name.as_str(), text) }
}

#[test]
fn real_catalogues() {
    let Some(corpora) = std::env::var_os("TOOLGATE_CORPORA") else {
        eprintln!("SKIPPED: real_catalogues needs TOOLGATE_CORPORA, the folder that holds catalogs/");
        return;
    };
    let mut paths: Vec<_> =
        std::fs::read_dir(Path::new(&corpora).join("catalogs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut tools, mut whole, mut exposed, mut hidden) = (0, 0, 0, BTreeMap::<String, usize>::new());
    for path in &paths {
        let server = path.file_stem().unwrap().to_str().unwrap();
        let catalog = Catalog::parse(&std::fs::read(path).unwrap()).unwrap();
        let servers = vec![ServerSchema { name: server, catalog: Some(&catalog), methods: &[] }];
        let generated = schema(&SchemaInput { servers, ..SchemaInput::default() });
        drop(Schema::from_cedarschema_str(&generated.text()).unwrap());
        let mut parts = Parts::new(&generated.common, generated.tools).unwrap();
        let policies: Vec<PolicyFile> = catalog.tools.iter().map(|tool| policy(server, tool)).collect();
        let (bundle, problems) = Bundle::load(&policies, None, &mut parts, &|_, _| Vec::new());
        let bundle = bundle.unwrap_or_else(|| panic!("{server}: {problems:#?}"));
        let model = Maker::new(&bundle, parts.into_actions()).server(server, Some(&catalog), &[]).unwrap();
        assert_eq!(model.catalogued_tools(), catalog.tools.len());
        for tool in &catalog.tools {
            let found = Exposure::of(tool);
            tools += 1;
            whole += usize::from(found.hidden.is_empty());
            exposed += found.exposed;
            found.hidden.iter().for_each(|(_, why)| *hidden.entry(why.to_string()).or_default() += 1);
        }
    }
    assert_eq!((paths.len(), tools, whole, exposed), (9, 197, 190, 817));
    let expected = [(Unexposed::OpenObject.to_string(), 2), (Unexposed::Union.to_string(), 8)];
    assert_eq!(hidden, BTreeMap::from(expected));
}
