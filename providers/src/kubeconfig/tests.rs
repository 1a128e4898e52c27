use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;

const USERS_FILE: &str = "\
apiVersion: v1
clusters:
# the company's cluster
- cluster:
    certificate-authority-data: QUJD
    server: https://10.0.0.1:6443   # do not change
  name: work
contexts:
- context:
    cluster: work
    user: me
    my-own-field: {kept: yes}
  name: work
current-context: work
kind: Config
preferences: {}
users:
- name: me
  user:
    token: 0123456
    notes: |
      two
      lines

# the end
";

fn sample() -> Entry {
    let cluster = json!({ "certificate-authority-data": "LS0tQ0E=", "server": "https://127.0.0.1:42519" });
    Entry { cluster, user: json!({ "client-certificate-data": "LS0tQ0VSVA==", "client-key-data": "LS0tS0VZ" }) }
}

fn with_file(text: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".kube/config");
    if let Some(text) = text {
        fs::create_dir(folder.path().join(".kube")).unwrap();
        fs::write(&path, text).unwrap();
    }
    (folder, path)
}

#[tokio::test]
async fn a_merged_context_stands_beside_what_was_there() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
}

#[tokio::test]
async fn merge_and_remove_give_the_file_back_byte_for_byte() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    assert!(remove(&path, "demo", "infra-demo").await.unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), USERS_FILE);
}

#[tokio::test]
async fn what_was_merged_is_found_again() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    assert!(entry(&path, "infra-demo").unwrap() == Some(sample()));
    assert_eq!(current_context(&path).unwrap().as_deref(), Some("infra-demo"));
    assert_eq!(contexts_of(&path, "demo").unwrap(), ["infra-demo"]);
    assert_eq!(contexts_of(&path, "other").unwrap(), [""; 0]);
}

#[tokio::test]
async fn merging_anew_replaces_the_earlier_entry() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    let mut moved = sample();
    moved.cluster["server"] = json!("https://127.0.0.1:1");
    merge(&path, "demo", "infra-demo", &moved).await.unwrap();
    assert!(entry(&path, "infra-demo").unwrap() == Some(moved));
    remove(&path, "demo", "infra-demo").await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), USERS_FILE);
}

#[tokio::test]
async fn a_file_that_was_made_here_is_removed_at_the_end_with_its_folder() {
    let (folder, path) = with_file(None);
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(remove(&path, "demo", "infra-demo").await.unwrap());
    assert!(!folder.path().join(".kube").exists());
    assert!(!remove(&path, "demo", "infra-demo").await.unwrap());
}

#[tokio::test]
async fn a_file_that_was_made_here_stays_when_others_use_it_too() {
    let (_folder, path) = with_file(None);
    merge(&path, "one", "infra-one", &sample()).await.unwrap();
    merge(&path, "two", "infra-two", &sample()).await.unwrap();
    remove(&path, "one", "infra-one").await.unwrap();
    assert!(entry(&path, "infra-two").unwrap().is_some());
    remove(&path, "two", "infra-two").await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn the_current_context_that_the_user_chose_meanwhile_stays() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    let chosen = fs::read_to_string(&path).unwrap().replace("current-context: infra-demo", "current-context: other");
    fs::write(&path, chosen).unwrap();
    remove(&path, "demo", "infra-demo").await.unwrap();
    assert_eq!(current_context(&path).unwrap().as_deref(), Some("other"));
}

#[tokio::test]
async fn a_previous_context_that_is_gone_is_not_restored() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("  name: work", "  name: renamed")).unwrap();
    remove(&path, "demo", "infra-demo").await.unwrap();
    assert_eq!(current_context(&path).unwrap(), None);
}

#[tokio::test]
async fn the_context_of_the_user_comes_back_after_two_deployments_in_any_order() {
    for order in [["one", "two"], ["two", "one"]] {
        let (_folder, path) = with_file(Some(USERS_FILE));
        merge(&path, "one", "infra-one", &sample()).await.unwrap();
        merge(&path, "two", "infra-two", &sample()).await.unwrap();
        for deployment in order {
            remove(&path, deployment, &format!("infra-{deployment}")).await.unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), USERS_FILE);
    }
}

#[tokio::test]
async fn an_entry_of_somebody_else_is_refused_and_never_removed() {
    let (_folder, path) = with_file(Some(USERS_FILE));
    let refused = merge(&path, "demo", "work", &sample()).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    remove(&path, "demo", "work").await.unwrap();
    assert!(entry(&path, "work").unwrap().is_some());
}

#[tokio::test]
async fn a_broken_file_is_an_error_with_its_place_and_stays_as_it_is() {
    let broken = "apiVersion: v1\nclusters:\n  - name: [\n";
    let (_folder, path) = with_file(Some(broken));
    let error = merge(&path, "demo", "infra-demo", &sample()).await.unwrap_err();
    assert!(matches!(&error, Error::Broken { reason, .. } if reason.contains("line")), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), broken);
}

#[tokio::test]
async fn a_file_in_an_unusual_form_is_left_alone() {
    for unusual in ["{\"clusters\": []}", "clusters: [{name: a, cluster: {server: b}}]\n"] {
        let (_folder, path) = with_file(Some(unusual));
        let error = merge(&path, "demo", "infra-demo", &sample()).await.unwrap_err();
        assert!(matches!(error, Error::Form { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), unusual);
    }
}

#[tokio::test]
async fn mode_and_symbolic_link_stay() {
    let (folder, path) = with_file(Some(USERS_FILE));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    merge(&link, "demo", "infra-demo", &sample()).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert!(entry(&path, "infra-demo").unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lock_of_another_program_is_waited_for_and_then_named() {
    let (folder, path) = with_file(Some(USERS_FILE));
    let lock = folder.path().join(".kube/config.lock");
    fs::write(&lock, "").unwrap();
    let error = merge(&path, "demo", "infra-demo", &sample()).await.unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(lock.exists());
}

#[tokio::test]
async fn a_lock_that_a_killed_infra_left_is_taken_over() {
    let (folder, path) = with_file(Some(USERS_FILE));
    let lock = folder.path().join(".kube/config.lock");
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    fs::write(&lock, format!("infra {}", ended.id())).unwrap();
    merge(&path, "demo", "infra-demo", &sample()).await.unwrap();
    assert!(!lock.exists());
}

#[test]
fn the_private_file_holds_just_the_one_context() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    write_private(&path, "infra-demo", &sample()).unwrap();
    assert!(entry(&path, "infra-demo").unwrap() == Some(sample()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn the_first_file_of_the_variable_comes_before_the_home_folder() {
    let both = |name: &str| Some(OsString::from(if name == "HOME" { "/home/me" } else { ":/a/config:/b/config" }));
    assert_eq!(user_file(both), Some(PathBuf::from("/a/config")));
    let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/me"));
    assert_eq!(user_file(home), Some(PathBuf::from("/home/me/.kube/config")));
}

/// A kubeconfig as kubectl or a person may have written it: names that need quotes, lists with and without indent, any order of keys.
fn files() -> impl Strategy<Value = String> {
    let names = prop::collection::btree_set("[a-z][a-z0-9@:/. _-]{0,12}[a-z0-9]|yes|123|~a", 0..4);
    let keys = Just(vec!["clusters", "contexts", "users", "current-context", "preferences"]).prop_shuffle();
    (names, keys, prop::bool::ANY, prop::bool::ANY).prop_map(|(names, keys, indented, comments)| {
        let mut text = "apiVersion: v1\nkind: Config\n".to_owned();
        for key in keys {
            let item = |name: &String| match key {
                "clusters" => json!({ "cluster": { "server": format!("https://{name}") }, "name": name }),
                "contexts" => json!({ "name": name, "context": { "cluster": name, "user": name, "unknown": [1, { "deep": "er" }] } }),
                _ => json!({ "name": name, "user": { "exec": { "args": ["a", "b: c"], "command": name } } }),
            };
            match key {
                "preferences" => text.push_str("preferences: {}\n"),
                "current-context" => {
                    let current = yaml::scalar(names.first().map_or("", String::as_str));
                    writeln!(text, "current-context: {current}").unwrap();
                }
                key if names.is_empty() => writeln!(text, "{key}: []").unwrap(),
                key => {
                    writeln!(text, "{key}:").unwrap();
                    for line in names.iter().flat_map(|name| yaml::item(&item(name))) {
                        writeln!(text, "{}{line}", if indented { "  " } else { "" }).unwrap();
                    }
                }
            }
            if comments {
                text.push_str("# a comment\n");
            }
        }
        text
    })
}

proptest! {
    // Each case writes files.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_comes_back_as_it_was(text in files()) {
        let (_folder, path) = with_file(Some(&text));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(merge(&path, "demo", "infra-demo", &sample())).unwrap();
        prop_assert!(entry(&path, "infra-demo").unwrap() == Some(sample()));
        runtime.block_on(remove(&path, "demo", "infra-demo")).unwrap();
        prop_assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn any_text_is_read_back_as_it_was_written(text in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{7f}-\u{9f}\u{fffe}\u{ffff}]*") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let entry = Entry { cluster: json!({ "server": "s" }), user: json!({ "username": text }) };
        write_private(&path, "c", &entry).unwrap();
        prop_assert!(super::entry(&path, "c").unwrap() == Some(entry));
    }
}
