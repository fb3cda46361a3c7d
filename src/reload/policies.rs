//! The policy folder as one bundle: policies, links of templates, groups in groups.

use crate::config::{groups, links};
use crate::policy::bundle::Bundle;
use crate::policy::groups::GroupHierarchy;
use crate::policy::lint::Lints;
use crate::policy::parts::Parts;
use crate::policy::schema::SchemaInput;
use crate::reload::files::{FileReader, PolicyFolder};

/// The policies, with the links of their templates, over groups that are in groups.
pub(super) fn bundle(
    reader: &mut FileReader,
    folder: &PolicyFolder,
    parts: &mut Parts,
    known: &SchemaInput<'_>,
) -> Option<Bundle> {
    let links = folder.links.as_ref().map(|source| {
        let (links, problems) = links(source);
        reader.problems.extend(problems);
        links
    });
    let groups = folder.groups.as_ref().map(|source| {
        let (file, problems) = groups(source);
        reader.problems.extend(problems);
        let (groups, problems) = GroupHierarchy::read(&file, &known.issuers);
        reader.problems.extend(problems);
        groups
    });
    let groups = groups.unwrap_or_default();
    let lints = Lints::new(known, &groups);
    let (bundle, problems) =
        Bundle::load(&folder.files, links.as_ref(), parts, &|policy, literals| lints.of(policy, literals));
    reader.problems.extend(problems);
    Some(bundle?.in_groups(groups))
}
