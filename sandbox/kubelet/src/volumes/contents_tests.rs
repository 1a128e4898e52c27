use super::*;
use serde_json::json;
use std::sync::Arc;

fn read(volume: &Value) -> Result<Vec<(String, String, u32)>, String> {
    let find = |resource: &'static kinds::Resource, name: &str| {
        let object = match (resource.plural, name) {
            ("configmaps", "settings") => json!({ "data": { "a": "1", "b": "2" }, "binaryData": { "c": "Mw==" } }),
            ("secrets", "keys") => json!({ "data": { "token": "c2VjcmV0" } }),
            _ => return None,
        };
        Some(Arc::new(object))
    };
    let tokens = |wish: &TokenWish<'_>| Ok(format!("token for {:?}", wish.audience));
    let pod = json!({ "metadata": { "name": "p", "labels": { "x": "y" } } });
    let facts = Facts {
        pod: &pod,
        seen: String::new(),
        address: None,
        host_address: String::new(),
        allocatable: Arc::default(),
    };
    let files = contents(volume, &Sources { find: &find, tokens: &tokens, facts }).expect("made from objects")?;
    let plain = |(path, file): (String, File)| (path, String::from_utf8(file.bytes).expect("text"), file.mode);
    Ok(files.into_iter().map(plain).collect())
}

fn file(path: &str, text: &str, mode: u32) -> (String, String, u32) {
    (path.to_owned(), text.to_owned(), mode)
}

#[test]
fn every_key_is_a_file_unless_items_are_chosen() {
    let all = read(&json!({ "configMap": { "name": "settings", "defaultMode": 420 } })).expect("there");
    assert_eq!(all, [file("a", "1", 0o644), file("b", "2", 0o644), file("c", "3", 0o644)]);
    let items = json!([{ "key": "b", "path": "deep/b", "mode": 256 }]);
    let chosen = read(&json!({ "configMap": { "name": "settings", "items": items } })).expect("there");
    assert_eq!(chosen, [file("deep/b", "2", 0o400)]);
    let secret = read(&json!({ "secret": { "secretName": "keys", "defaultMode": 256 } })).expect("there");
    assert_eq!(secret, [file("token", "secret", 0o400)]);
}

#[test]
fn what_is_missing_is_named_unless_it_is_optional() {
    for (volume, message) in [
        (json!({ "configMap": { "name": "no" } }), "configmap \"no\" not found"),
        (json!({ "secret": { "secretName": "no" } }), "secret \"no\" not found"),
        (
            json!({ "configMap": { "name": "settings", "items": [{ "key": "z", "path": "z" }] } }),
            "configmap references non-existent config key: z",
        ),
        (
            json!({ "secret": { "secretName": "keys", "items": [{ "key": "z", "path": "z" }] } }),
            "references non-existent secret key: z",
        ),
    ] {
        assert_eq!(read(&volume), Err(message.to_owned()));
        let mut optional = volume;
        let (_, source) = optional.as_object_mut().expect("an object").iter_mut().next().expect("a source");
        source["optional"] = true.into();
        assert_eq!(read(&optional), Ok(Vec::new()));
    }
}

#[test]
fn a_projected_volume_joins_its_sources() {
    let sources = json!([
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } },
        { "configMap": { "name": "settings", "items": [{ "key": "a", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
    ]);
    let volume = json!({ "projected": { "sources": sources, "defaultMode": 420 } });
    let all = read(&volume).expect("there");
    assert_eq!(
        all,
        [file("ca.crt", "1", 0o644), file("labels", "x=\"y\"", 0o644), file("token", "token for \"\"", 0o644)]
    );
    assert_eq!(token_seconds(&volume), Some(3607));
}
