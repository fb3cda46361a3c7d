//! Callers, arguments and targets twice: as requests bring them, and whole, as Cedar's own JSON.

use cedar_policy::{Entities, Schema};
use serde_json::{Value, json};

use crate::policy::subject::{ScopeHierarchy, Subject};
use crate::policy::tests::random::Random;
use crate::policy::tests::world::subject;

/// A caller: the claims of the token, and the same as entities and as `context.token`.
pub(super) struct Caller {
    pub(super) subject: Subject,
    pub(super) entities: Entities,
    pub(super) token: Value,
}

/// What every caller shares: the targets, and the actions of the schema.
pub(super) fn targets(schema: &Schema) -> Entities {
    let server = |name: &str| json!({"type": "Server", "id": name});
    let entity = |kind: &str, id: &str, attrs: Value, parents: Vec<Value>| json!({"uid": {"type": kind, "id": id}, "attrs": attrs, "parents": parents});
    let mut all = vec![entity("Server", "a", json!({}), vec![]), entity("Server", "b", json!({}), vec![])];
    for (server_name, name, read_only, destructive) in [
        ("a", "read", true, false),
        ("a", "write", false, true),
        ("a", "plain", false, true),
        ("b", "t0", false, true),
        ("b", "t1", false, true),
    ] {
        let attrs = json!({"name": name, "readOnly": read_only, "destructive": destructive, "idempotent": false, "openWorld": true});
        all.push(entity("Tool", &format!("{server_name}:{name}"), attrs, vec![server(server_name)]));
    }
    for name in ["a", "b"] {
        for prompt in ["p0", "p1"] {
            all.push(entity("Prompt", &format!("{name}:{prompt}"), json!({"name": prompt}), vec![server(name)]));
        }
        for task in ["1", "2"] {
            all.push(entity("Task", &format!("{name}:{task}"), json!({}), vec![server(name)]));
        }
        let folder = |uri: &str| json!({"type": "Resource", "id": format!("{name}:{uri}")});
        for (uri, attrs, folders) in [
            (
                "file:///public/a.txt",
                json!({"scheme": "file", "path": "/public/a.txt"}),
                vec![folder("file:///public")],
            ),
            (
                "file:///public/sub/b.txt",
                json!({"scheme": "file", "path": "/public/sub/b.txt"}),
                vec![folder("file:///public"), folder("file:///public/sub")],
            ),
            ("file:///public", json!({"scheme": "file", "path": "/public"}), vec![]),
            ("file:///public/../etc", json!({}), vec![]),
            (
                "https://h.example/x",
                json!({"scheme": "https", "path": "/x", "host": "h.example"}),
                vec![folder("https://h.example")],
            ),
        ] {
            let mut attrs = attrs;
            attrs["uri"] = uri.into();
            all.push(entity(
                "Resource",
                &format!("{name}:{uri}"),
                attrs,
                folders.into_iter().chain([server(name)]).collect(),
            ));
        }
    }
    let actions = schema.action_entities().unwrap();
    actions.add_entities_from_json_value(Value::Array(all), None).unwrap()
}

/// A caller, in some groups, with some scopes and claims.
pub(super) fn caller(
    random: &mut Random,
    implies: &[(usize, usize)],
    groups_in: &[(String, String)],
    targets: &Entities,
) -> Caller {
    let clients = ["app0", "app1", "https://c.example/client"];
    let client = random.pick(&clients);
    let user = random.chance(70).then(|| random.pick(&["u0", "u1", "u2"]));
    let groups = random.some(&["g0", "g1", "g2"], 30);
    let scopes = random.some(&["s0", "s1", "s2", "s3"], 30);
    let department = random.chance(50).then(|| random.pick(&["eng", "law"]));
    let clearance = random.chance(50).then(|| random.below(3));
    let (acr, actor) = (random.chance(40).then_some("mfa"), random.chance(30).then(|| random.pick(&clients)));
    let amr = random.some(&["pwd", "otp"], 50);

    let mut claims = vec![format!(r#""client_id":"{client}","sub":"{}""#, user.unwrap_or(client))];
    claims.push(format!(r#""groups":{},"scope":"{}","amr":{}"#, json!(groups), scopes.join(" "), json!(amr)));
    claims.extend(department.map(|text| format!(r#""department":"{text}""#)));
    claims.extend(clearance.map(|number| format!(r#""clearance":{number}"#)));
    claims.extend(acr.map(|text| format!(r#""acr":"{text}""#)));
    claims.extend(actor.map(|text| format!(r#""act":{{"sub":"{text}"}}"#)));
    let names = |at: usize| format!("s{at}");
    let hierarchy = ScopeHierarchy::new(
        &(0..4)
            .map(|at| (names(at), implies.iter().filter(|(from, _)| *from == at).map(|(_, to)| names(*to)).collect()))
            .collect(),
    );

    let uid = |kind: &str, id: String| json!({"type": kind, "id": id});
    let client_of = |id: &str| {
        let mut attrs = json!({"issuer": "corp", "id": id});
        if id.starts_with("https:") {
            attrs["host"] = "c.example".into();
        }
        (uid("Client", format!("corp:{id}")), attrs)
    };
    let (own, mut attrs) = user.map_or_else(
        || client_of(client),
        |user| (uid("User", format!("corp:{user}")), json!({"issuer": "corp", "subject": user})),
    );
    if let Some(department) = department {
        attrs["department"] = department.into();
    }
    if let Some(clearance) = clearance {
        attrs["clearance"] = clearance.into();
    }
    let groups = groups.iter().map(|group| uid("Group", format!("corp:{group}")));
    let parents: Vec<Value> = groups.chain(scopes.iter().map(|scope| uid("Scope", (*scope).to_owned()))).collect();
    let mut all = vec![json!({"uid": own, "attrs": attrs, "parents": parents})];
    if user.is_some() {
        let (uid, attrs) = client_of(client);
        all.push(json!({"uid": uid, "attrs": attrs, "parents": []}));
    }
    // The hierarchy of scopes is Cedar's own here: a scope is in those that it implies.
    all.extend((0..4).map(|at| {
        let parents: Vec<Value> =
            implies.iter().filter(|(from, _)| *from == at).map(|(_, to)| uid("Scope", names(*to))).collect();
        json!({"uid": uid("Scope", names(at)), "attrs": {}, "parents": parents})
    }));
    // And so is the hierarchy of groups.
    all.extend((0..5).map(|at| {
        let above = groups_in.iter().filter(|(below, _)| *below == format!("g{at}"));
        let parents: Vec<Value> = above.map(|(_, above)| uid("Group", format!("corp:{above}"))).collect();
        json!({"uid": uid("Group", format!("corp:g{at}")), "attrs": {}, "parents": parents})
    }));
    let reference = |id: &str| json!({"__entity": {"type": "Client", "id": format!("corp:{id}")}});
    let mut token = json!({"client": reference(client), "issuer": "corp", "amr": amr,
        "actors": actor.into_iter().map(reference).collect::<Vec<_>>(),
        "issuedAt": datetime("2025-06-02T09:29:00Z"), "expiresAt": datetime("2025-06-02T09:40:00Z")});
    if let Some(acr) = acr {
        token["acr"] = acr.into();
    }
    let entities = targets.clone().add_entities_from_json_value(Value::Array(all), None).unwrap();
    Caller { subject: subject(&claims.join(","), &hierarchy), entities, token }
}

pub(super) fn datetime(text: &str) -> Value {
    json!({"__extn": {"fn": "datetime", "arg": text}})
}

/// Arguments of `read`: as a caller sends them, and as members of the whole context.
pub(super) fn arguments(random: &mut Random) -> (String, Value) {
    let path = random.pick(&["/a", "/b"]);
    let mut text = vec![format!(r#""path":"{path}""#)];
    let mut typed = json!({"arguments": {"path": path}, "count": {}, "undeclared": []});
    if random.chance(50) {
        let limit = random.pick(&["0", "5", "9223372036854775807"]);
        text.push(format!(r#""limit":{limit}"#));
        typed["arguments"]["limit"] = limit.parse::<i64>().unwrap().into();
    }
    if random.chance(50) {
        let ratio = random.pick(&["0.5", "-3.25"]);
        text.push(format!(r#""ratio":{ratio}"#));
        typed["arguments"]["ratio"] = json!({"__extn": {"fn": "decimal", "arg": ratio}});
    }
    if random.chance(50) {
        let tags = random.some(&["x", "y", "z"], 50);
        text.push(format!(r#""tags":{}"#, json!(tags)));
        typed["count"]["tags"] = tags.len().into();
        typed["arguments"]["tags"] = json!(tags);
    }
    if random.chance(50) {
        let deep = if random.chance(50) {
            json!({"n": random.below(5)})
        } else {
            json!({"n": random.below(5), "on": random.chance(50)})
        };
        text.push(format!(r#""deep":{deep}"#));
        typed["arguments"]["deep"] = deep;
    }
    if random.chance(30) {
        text.push(r#""other":1.5e999"#.to_owned());
        typed["undeclared"] = json!(["/other"]);
    }
    (format!("{{{}}}", text.join(",")), typed)
}
