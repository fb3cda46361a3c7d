//! What stands beside the policies in their folder: links of templates, and groups in groups.
//!
//! ```yaml
//! # links.yaml
//! - {template: read-only, id: read-only-ada, principal: 'User::"corp:ada"'}
//!
//! # entities.yaml
//! Group::"corp:night-shift": [Group::"corp:operators"]
//! ```
//!
//! An empty file is a problem, as among policies: it may be one that is still being written.

use super::reader::{Field, Reader};
use super::yaml;
use crate::policy::groups::GroupFile;
use crate::policy::links::{Link, LinkFile};
use crate::problem::{Problem, Source, Spanned};

/// Reads `links.yaml`.
pub fn links(source: &Source) -> (LinkFile, Vec<Problem>) {
    let (links, problems) = read(source, "write `[]` for no links", |root| root.items(link));
    (LinkFile { source: source.clone(), links, complete: problems.is_empty() }, problems)
}

/// Reads `entities.yaml`.
pub fn groups(source: &Source) -> (GroupFile, Vec<Problem>) {
    let (groups, problems) = read(source, "write `{}` for no groups", |root| {
        root.entries(|group, parents| Some((group.to_owned(), parents.items(text)?)))
    });
    (GroupFile { source: source.clone(), groups }, problems)
}

fn read<T>(source: &Source, none: &str, read: impl FnOnce(&Field<'_>) -> Option<Vec<T>>) -> (Vec<T>, Vec<Problem>) {
    let reader = Reader::of(source, "the file");
    let items = match yaml::load(&source.text) {
        Ok(root) => read(&Field::root(&reader, &root)),
        Err(error) => {
            let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
            let help = if source.text.lines().all(blank) { none } else { error.help };
            reader.report(Some(error.span), error.message, help.to_owned());
            None
        }
    };
    (items.unwrap_or_default(), reader.into_problems())
}

/// One link without any problem: what is missing from another may be what could not be made out.
fn link(field: &Field<'_>) -> Option<Link> {
    let before = field.problems();
    let link = field.section(|section| {
        let (template, id) = (section.required("template", text), section.required("id", text));
        let (principal, resource) = (section.optional("principal", text), section.optional("resource", text));
        Some(Link { template: template?, id: id?, principal, resource })
    });
    link.filter(|_| field.problems() == before)
}

fn text(field: &Field<'_>) -> Option<Spanned<String>> {
    Some(field.spanned(field.text()?.to_owned()))
}
