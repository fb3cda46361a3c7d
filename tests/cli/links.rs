//! `toolgate check` on links of templates and on groups in groups.

use serde_json::Value;

use super::support::{Files, json};

/// A template with each slot, and a policy without one.
const TEMPLATES: &str = r#"
@id("reader")
permit (principal in ?principal, action == Action::"weather:get_forecast", resource);

@id("tool")
permit (principal == ?principal, action in Action::"weather:*", resource == ?resource);

@id("blocked")
forbid (principal == ?principal, action in Action::"weather:*", resource is Tool);
"#;

const LINKED: &str = r#"- {template: reader, id: readers, principal: Group::"corp:readers"}
- {template: tool, id: adas, principal: User::"corp:ada", resource: Tool::"weather:get_forecast"}
- {template: blocked, id: no-eve, principal: User::"corp:eve"}
"#;

/// What `check` says of the files, with the text that each problem marks.
#[track_caller]
fn said(files: &Files) -> Vec<(String, String, String)> {
    let ran = files.run(&["check", "-c", "toolgate.yaml", "--format", "json"]);
    let report = json(&ran.stdout);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(ran.code, if problems.iter().any(|problem| problem["severity"] == "error") { 3 } else { 0 }, "{ran:?}");
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let place = |problem: &Value| match problem["line"].as_u64() {
        Some(line) => format!("{}:{line}:{} {}", text(problem, "file"), problem["column"], text(problem, "severity")),
        None => format!("{} {}", text(problem, "file"), text(problem, "severity")),
    };
    problems.iter().map(|problem| (place(problem), text(problem, "message"), text(problem, "help"))).collect()
}

/// A link, the column that is marked in it, what is wrong there, and the remedy.
const WRONG_LINKS: &[(&str, u64, &str, &str)] = &[
    (
        r#"{template: raeder, id: x, principal: User::"corp:ada"}"#,
        14,
        "there is no template `raeder`",
        "did you mean `reader`?",
    ),
    (
        r#"{template: nothing-deleted, id: x, principal: User::"corp:ada"}"#,
        14,
        "the policy `nothing-deleted` has no slots, so it is no template",
        "write `?principal` or `?resource` into its scope, or name another",
    ),
    (
        r#"{template: reader, id: x, principle: User::"corp:ada"}"#,
        29,
        "`[3].principle` is not a known key",
        "did you mean `principal`?",
    ),
    (
        r#"{template: reader, id: x}"#,
        14,
        "the link `x` says nothing for `?principal` of the template `reader`",
        "add `principal: …`",
    ),
    (
        r#"{template: reader, id: x, principal: User::"corp:ada", resource: Server::"weather"}"#,
        68,
        "the template `reader` has no slot `?resource`",
        "remove `resource`, or write `?resource` into the template",
    ),
    (r#"{template: reader, principal: User::"corp:ada"}"#, 3, "`[3]` has no `id`", "add `id: …`"),
    (
        r#"{template: reader, id: adas, principal: User::"corp:ada"}"#,
        26,
        "two links have the id `adas`",
        "give each its own: the first is on line 2",
    ),
    (
        r#"{template: reader, id: forecast, principal: User::"corp:ada"}"#,
        26,
        "a link and a policy or template have the id `forecast`",
        "ids name policies in the audit record: give each its own",
    ),
    (
        r#"{template: reader, id: tool, principal: User::"corp:ada"}"#,
        26,
        "a link and a policy or template have the id `tool`",
        "ids name policies in the audit record: give each its own",
    ),
    (
        r#"{template: reader, id: x, principal: Grup::"corp:ada"}"#,
        40,
        "`principal` cannot be a `Grup`",
        "did you mean `Group`?",
    ),
    (
        r#"{template: reader, id: x, principal: Tool::"weather:get_forecast"}"#,
        40,
        "`principal` cannot be a `Tool`",
        "write a `User`, a `Client`, a `Group`, a `Scope`",
    ),
    (
        r#"{template: reader, id: x, principal: ada}"#,
        40,
        "`principal` cannot be `ada`, which is no entity",
        "write it as in a policy, such as `User::\"…:…\"`",
    ),
    (
        r#"{template: reader, id: x, principal: Scope::"weather:raed"}"#,
        40,
        "for policy `x`, no server asks for the scope `weather:raed`, and no configured hierarchy has it",
        "did you mean `weather:read`?",
    ),
    (
        r#"{template: reader, id: x, principal: Group::"crop:ops"}"#,
        40,
        "for policy `x`, the id `crop:ops` does not begin with the name of an issuer and a colon",
        "did you mean `corp`?",
    ),
    (
        r#"{template: tool, id: x, principal: User::"corp:ada", resource: Tool::"weather:get_forcast"}"#,
        66,
        "for policy `x`, the catalogue of `weather` has no tool `get_forcast`",
        "did you mean `get_forecast`?",
    ),
    (
        r#"{template: tool, id: x, principal: User::"corp:ada", resource: Server::"wether"}"#,
        66,
        "for policy `x`, there is no server `wether`",
        "did you mean `weather`?",
    ),
    (
        r#"{template: blocked, id: x, principal: Group::"corp:ops"}"#,
        27,
        "for policy `x`, unable to find an applicable action given the policy scope constraints",
        "try replacing `==` with `in` in the principal clause",
    ),
];

#[test]
fn each_mistake_in_a_link_is_marked_there() {
    for (line, column, message, help) in WRONG_LINKS {
        let files = Files::new();
        files.write("policies/templates.cedar", TEMPLATES);
        files.write("policies/links.yaml", &format!("{LINKED}- {line}\n"));
        let place = format!("policies/links.yaml:4:{column} error");
        assert_eq!(said(&files), [(place, (*message).to_owned(), (*help).to_owned())], "{line}");
    }
    let files = Files::new();
    files.write("policies/templates.cedar", TEMPLATES);
    files.write("policies/links.yaml", LINKED);
    assert_eq!(said(&files), []);
}

/// Nobody relies on a permit that permits nothing; a forbid that is lost with the file of links must not open a door.
#[test]
fn a_template_without_links_is_told_of() {
    let files = Files::new();
    files.write("policies/templates.cedar", TEMPLATES);
    files.write("policies/links.yaml", LINKED.lines().next().unwrap());
    let help = "link it in `links.yaml` in the policy folder, or delete it".to_owned();
    let tool = (
        "policies/templates.cedar:5:1 warning".to_owned(),
        "no link of the template `tool`: it permits nothing".to_owned(),
        help.clone(),
    );
    let blocked = (
        "policies/templates.cedar:8:1 error".to_owned(),
        "no link of the template `blocked`: it forbids nothing".to_owned(),
        help.clone(),
    );
    assert_eq!(said(&files), [tool.clone(), blocked]);
    files.write("policies/templates.cedar", TEMPLATES.split_once("@id(\"blocked\")").unwrap().0);
    assert_eq!(said(&files), [tool]);
    std::fs::remove_file(files.path("policies/links.yaml")).unwrap();
    assert_eq!(said(&files).len(), 2, "both, none of them an error");
    files.write("policies/links.yaml", "# none yet\n");
    let (_, message, help) = said(&files).remove(0);
    assert_eq!((message.as_str(), help.as_str()), ("the file is empty", "write `[]` for no links"));
}

/// A template is checked as the policies that its links make.
#[test]
fn a_mistake_in_a_template_is_told_once() {
    let files = Files::new();
    let typo = TEMPLATES
        .replace("get_forecast\", resource);", "get_forecast\", resource)\nwhen { context.arguments has dyas };");
    files.write("policies/templates.cedar", &typo);
    files.write(
        "policies/links.yaml",
        &format!("{LINKED}- {{template: reader, id: more, principal: User::\"corp:bob\"}}\n"),
    );
    let message =
        "for policy `reader`, in the catalogue of `weather`, the tool `get_forecast` has no argument `dyas`".to_owned();
    let found = said(&files);
    assert_eq!(found, [("policies/templates.cedar:4:30 error".to_owned(), message, "did you mean `days`?".to_owned())]);
    files
        .write("policies/templates.cedar", &TEMPLATES.replace("@id(\"reader\")", "@id(\"reader\") @max_age(\"soon\")"));
    let message = "for policy `reader`, `@max_age` is `soon`, not a number of seconds".to_owned();
    let help = "write seconds, as in `@max_age(\"300\")`".to_owned();
    assert_eq!(said(&files), [("policies/templates.cedar:2:15 error".to_owned(), message, help)]);
}

#[test]
fn each_mistake_in_the_file_of_groups_is_marked_there() {
    let cycle = |path: &str| format!("`Group::\"corp:a\"` would be in itself: {path}");
    for (text, line, column, message, help) in [
        (
            "Group::\"corp:a\": [Group::\"crop:b\"]",
            1,
            19,
            "the id `crop:b` does not begin with the name of an issuer and a colon".to_owned(),
            "did you mean `corp`?",
        ),
        (
            "Group::\"b\": []",
            1,
            1,
            "the id `b` does not begin with the name of an issuer and a colon".to_owned(),
            "the issuers are `corp`",
        ),
        ("User::\"corp:ada\": [Group::\"corp:a\"]", 1, 1, "a group cannot be a `User`".to_owned(), "write a `Group`"),
        ("Group::\"corp:a\": [Scope::\"corp:a\"]", 1, 19, "a group cannot be a `Scope`".to_owned(), "write a `Group`"),
        (
            "corp: []",
            1,
            1,
            "a group cannot be `corp`, which is no entity".to_owned(),
            "write it as in a policy, such as `Group::\"…:…\"`",
        ),
        (
            "Group::\"corp:a\": [Group::\"corp:a\"]",
            1,
            19,
            cycle("`Group::\"corp:a\"` in `Group::\"corp:a\"`"),
            "remove one of these parents",
        ),
        (
            "Group::\"corp:a\": [Group::\"corp:x\", Group::\"corp:b\"]\nGroup::\"corp:b\": [Group::\"corp:a\"]",
            1,
            36,
            cycle("`Group::\"corp:a\"` in `Group::\"corp:b\"` in `Group::\"corp:a\"`"),
            "remove one of these parents",
        ),
        (
            "Group::\"corp:a\": []\nGroup::\"corp:a\": []",
            2,
            1,
            "`[\"Group::\\\"corp:a\\\"\"]` is given twice".to_owned(),
            "remove one of them: the first is on line 1",
        ),
        (
            "[]",
            1,
            1,
            "the file must be a mapping, not a list".to_owned(),
            "write `key: value` lines, or `{key: value}`",
        ),
        ("", 1, 1, "the file is empty".to_owned(), "write `{}` for no groups"),
    ] {
        let files = Files::new();
        files.write("policies/entities.yaml", text);
        let place = format!("policies/entities.yaml:{line}:{column} error");
        assert_eq!(said(&files), [(place, message, help.to_owned())], "{text}");
    }
}

#[test]
fn a_file_of_links_under_another_name_is_told_of() {
    for (name, meant) in [
        ("link.yaml", "links.yaml"),
        ("links.yml", "links.yaml"),
        ("Entities.yaml", "entities.yaml"),
        ("weather/links.yaml", "links.yaml"),
    ] {
        let files = Files::new();
        files.write(&format!("policies/{name}"), "[]");
        let (message, help) =
            (format!("`policies/{name}` is not read"), format!("call it `policies/{meant}`, or something else"));
        assert_eq!(said(&files), [(format!("policies/{name} error"), message, help)]);
    }
    let files = Files::new();
    files.write("policies/tests.yaml", "anything: else");
    assert_eq!(said(&files), []);
}
