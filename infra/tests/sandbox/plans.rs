//! What a plan shows, and what can be done with it, on a few small objects in a real sandbox.

use libtest_mimic::Failed;
use serde_json::json;

use crate::machine::Machine;
use crate::somebody::Somebody;

const SCENARIO: &str = "version: 1\nname: maps\n";

const MAPS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  color: blue
  config.ini: |
    [server]
    port = 80
    name = a
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2-hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
";

const EXTRA: &str = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {a: '2'}\n";

fn machine() -> Machine {
    let machine = Machine::bare();
    machine.write("maps/scenario.yaml", SCENARIO);
    machine.write("maps/manifests/maps.yaml", MAPS);
    machine
}

fn applied() -> Machine {
    let machine = machine();
    machine.must(&["apply", "maps", "--yes"]);
    machine
}

fn assert_lines(text: &str, lines: &[&str]) {
    let shown: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let mut from = 0;
    for line in lines {
        let found = shown[from..].iter().position(|shown| shown == line);
        from += found.unwrap_or_else(|| panic!("{line:?} is missing, or not in this order:\n{text}")) + 1;
    }
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn drift() -> Result<(), Failed> {
    let machine = applied();
    let somebody = Somebody::new(&machine);
    somebody.paint("red");
    somebody.delete("Service", "web");
    somebody.change("Secret", "login", &json!({"data": {"password": "Y2hhbmdlZA=="}}));
    machine.write("maps/manifests/maps.yaml", &MAPS.replace("port = 80", "port = 81"));
    let ended = machine.infra(&["plan", "maps", "--exit-code"]);
    assert_eq!(ended.code, 10, "{}", ended.text);
    assert_lines(
        &ended.text,
        &[
            "changed outside of infra",
            "! ConfigMap default/settings changed by somebody",
            "data.color: blue -> red",
            "! Secret default/login changed by somebody",
            "data.password: (secret) differs",
            "! Service default/web gone",
            "objects",
            "~ ConfigMap default/settings puts back data.color",
            "- port = 80",
            "+ port = 81",
            "~ Secret default/login puts back data.password",
            "± Service default/web made anew: it is gone",
        ],
    );
    let json = machine.must(&["plan", "maps", "--json"]);
    for secret in ["hunter2", "aHVudGVyMi", "Y2hhbmdlZA", "sealed:"] {
        assert!(!json.contains(secret), "{secret}: {json}");
    }
    let plan: serde_json::Value = serde_json::from_str(&json).expect("one object");
    let drift = &plan["drifted"][0];
    assert_eq!((&drift["seen"], &drift["what"]["fields"][0]["new"]), (&"changed".into(), &"red".into()), "{drift}");
    machine.must(&["apply", "maps", "--yes"]);
    assert_eq!(somebody.color(), "blue");
    let ended = machine.infra(&["plan", "maps", "--exit-code"]);
    assert_eq!(ended.code, 0, "{}", ended.text);
    machine.must(&["destroy", "maps", "--yes"]);
    Ok(())
}

pub fn saved() -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;

    // Before the first apply: the values of Secrets are compared all the same.
    let machine = machine();
    machine.must(&["plan", "maps", "--save", "first.plan"]);
    let text = std::fs::read_to_string(machine.path("first.plan"))?;
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMi"), "no secret is in the file");
    assert_eq!(std::fs::metadata(machine.path("first.plan"))?.permissions().mode() & 0o777, 0o600);
    machine.write("maps/manifests/maps.yaml", &MAPS.replace("hunter2-hunter2", "another-one"));
    let ended = machine.infra(&["apply", "first.plan"]);
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert_lines(&ended.text, &["because the scenario: object/secret/default/login data.password: (secret) differs"]);
    assert!(!machine.path("kubeconfig").exists(), "nothing was made");
    machine.write("maps/manifests/maps.yaml", MAPS);
    machine.must(&["apply", "first.plan"]);
    let somebody = Somebody::new(&machine);

    let ended = machine.infra(&["apply", "first.plan"]);
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("because the journal: ") && ended.text.contains("more entries"), "{}", ended.text);

    machine.write("maps/manifests/maps.yaml", &MAPS.replace("blue", "green"));
    machine.must(&["plan", "maps", "--save", "second.plan"]);
    somebody.paint("red");
    let ended = machine.infra(&["apply", "second.plan"]);
    let said = "because the world: object/configmap/default/settings was as recorded, and is changed by somebody";
    assert_lines(&ended.text, &[said]);
    assert_eq!((ended.code, somebody.color().as_str()), (1, "red"));

    let ended = machine.infra(&["apply", "second.plan", "--target", "secret/login"]);
    assert_eq!(ended.code, 2, "{}", ended.text);
    let ended = machine.infra(&["plan", "second.plan"]);
    assert!(ended.code == 2 && ended.text.contains("it is a saved plan"), "{}", ended.text);
    machine.write("second.plan", &std::fs::read_to_string(machine.path("second.plan"))?.replace("green", "black"));
    let ended = machine.infra(&["apply", "second.plan"]);
    assert!(ended.code == 2 && ended.text.contains("it is damaged"), "{}", ended.text);

    machine.must(&["plan", "maps", "--save", "third.plan", "--target", "configmap/settings"]);
    machine.must(&["apply", "third.plan"]);
    assert_eq!(somebody.color(), "green");
    machine.must(&["destroy", "maps", "--yes"]);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn parts() -> Result<(), Failed> {
    let machine = applied();
    let somebody = Somebody::new(&machine);
    machine.write("maps/manifests/maps.yaml", &(MAPS.replace("blue", "green") + EXTRA));
    let ended = machine.infra(&["plan", "maps", "--target", "confgmap/extra"]);
    assert!(ended.code == 2 && ended.text.contains("did you mean configmap/extra?"), "{}", ended.text);
    let text = machine.must(&["apply", "maps", "--yes", "--target", "ConfigMap default/extra"]);
    assert!(text.contains("1 to make, 0 to change, 0 to remove") && text.contains("only a part was applied"), "{text}");
    assert_eq!(somebody.color(), "blue");
    let uid = || somebody.get("Service", "web").expect("the service")["metadata"]["uid"].clone();
    let before = uid();
    let text = machine.must(&["apply", "maps", "--yes", "--replace", "service/web"]);
    assert_lines(&text, &["± Service default/web made anew: it was asked for"]);
    assert!(uid() != before && somebody.color() == "green");
    let text = machine.must(&["destroy", "maps", "--yes", "--target", "configmap/extra"]);
    assert!(text.contains("only a part was removed"), "{text}");
    assert_eq!(somebody.get("ConfigMap", "extra"), None);
    assert_eq!(somebody.color(), "green");
    let text = machine.must(&["plan", "maps"]);
    assert_lines(&text, &["+ ConfigMap default/extra"]);
    machine.must(&["destroy", "maps", "--yes"]);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn adopted() -> Result<(), Failed> {
    let machine = applied();
    let somebody = Somebody::new(&machine);
    somebody.make_map("extra", &json!({"a": "1", "theirs": "yes"}));
    machine.write("maps/manifests/maps.yaml", &(MAPS.replace("blue", "green") + EXTRA));
    assert_lines(
        &machine.must(&["plan", "maps"]),
        &["already there, not made by infra", "! ConfigMap default/extra --adopt takes it over"],
    );
    let ended = machine.infra(&["apply", "maps", "--yes"]);
    assert!(ended.code == 7 && ended.text.contains("say --adopt to take it over"), "{}: {}", ended.code, ended.text);
    assert_eq!(somebody.color(), "blue", "nothing was changed");
    let text = machine.must(&["apply", "maps", "--yes", "--adopt"]);
    assert_lines(&text, &["» ConfigMap default/extra adopted: it was not made by infra; destroy will delete it"]);
    let map = somebody.get("ConfigMap", "extra").expect("the map");
    assert_eq!(map["data"], json!({"a": "2", "theirs": "yes"}));
    assert_eq!(map["metadata"]["labels"]["infra/deployment"], "maps");
    assert!(machine.must(&["apply", "maps", "--yes"]).contains("nothing to do"));
    machine.write("maps/manifests/maps.yaml", &MAPS.replace("blue", "green"));
    assert_lines(&machine.must(&["apply", "maps", "--yes"]), &["- ConfigMap default/extra"]);
    assert_eq!(somebody.get("ConfigMap", "extra"), None);
    machine.must(&["destroy", "maps", "--yes"]);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn not_tried() -> Result<(), Failed> {
    let machine = machine();
    let pod = "\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: user}\nspec:\n  \
               containers: [{name: a, image: none, envFrom: [{configMapRef: {name: Wrong}}]}]\n";
    let wrong = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: Wrong}\n";
    machine.write("maps/manifests/maps.yaml", &(MAPS.to_owned() + wrong + pod));
    let ended = machine.infra(&["apply", "maps", "--yes"]);
    assert_eq!(ended.code, 1, "{}", ended.text);
    let lines = ended.text.lines().filter(|line| line.contains("not tried"));
    let told: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let line = "· Pod default/user not tried: ConfigMap default/Wrong failed";
    assert_eq!(told.iter().filter(|told| *told == line).count(), 1, "the pod and the wait for it: {}", ended.text);
    assert!(ended.text.contains("not tried\n"), "they are counted: {}", ended.text);
    let ended = machine.infra(&["apply", "maps", "--yes", "--json"]);
    let event = |name: &str| {
        let line = ended.text.lines().find(|line| line.contains(&format!(r#""event":"{name}""#))).expect("such a line");
        serde_json::from_str::<serde_json::Value>(line).expect("an object")
    };
    let (plan, summary) = (event("plan"), event("summary"));
    assert!(plan["drifted"].is_array() && plan["steps"].is_array(), "{plan}");
    assert_eq!(summary["failed"][0], "object/configmap/default/Wrong", "{summary}");
    assert!(summary["not_tried"].as_array().expect("a list").contains(&"object/pod/default/user".into()), "{summary}");
    machine.must(&["destroy", "maps", "--yes"]);
    Ok(())
}
