//! Users and groups by name, as an image tells them.

use std::path::{Component, Path, PathBuf};

/// Who a program is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The numeric user.
    pub user: u32,
    /// The numeric group: the user's own, if none is said.
    pub group: u32,
    /// The groups that `/etc/group` names the user in.
    pub groups: Vec<u32>,
    /// The user's home folder, `/` if the image does not know the user.
    pub home: String,
}

/// Whom an image's `USER` means (`""`, `app`, `1000`, `app:staff`, `1000:1000`), by the image's own `/etc/passwd` and
/// `/etc/group`.
///
/// # Errors
/// A name that the image does not know; a sentence.
pub fn find_user(root: &Path, user: &str) -> Result<Identity, String> {
    let (users, groups) = (read(root, "etc/passwd"), read(root, "etc/group"));
    find(&users, &groups, user)
}

/// A file of the image. A link out of it leads nowhere: it would be followed in the container, not here.
fn read(root: &Path, file: &str) -> String {
    let mut path = root.join(file);
    for _ in 0..8 {
        let Ok(target) = std::fs::read_link(&path) else { break };
        let base = if target.is_absolute() { root.to_owned() } else { path.parent().unwrap_or(root).to_owned() };
        path = within(root, base, &target);
    }
    std::fs::read_to_string(path).unwrap_or_default()
}

fn within(root: &Path, mut base: PathBuf, target: &Path) -> PathBuf {
    for part in target.components() {
        match part {
            Component::ParentDir if base != root => drop(base.pop()),
            Component::Normal(name) => base.push(name),
            _ => {}
        }
    }
    base
}

fn find(users: &str, groups: &str, text: &str) -> Result<Identity, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let known = lines(users).find(|fields| match number {
        Some(number) => fields.get(2).and_then(|id| id.parse().ok()) == Some(number),
        None => fields.first() == Some(&user),
    });
    let field = |at: usize| known.as_ref().and_then(|fields| fields.get(at).copied());
    let id = number.or_else(|| field(2)?.parse().ok());
    let id = id.ok_or_else(|| format!("unable to find user {user}: no matching entries in passwd file"))?;
    let own_group = field(3).and_then(|group| group.parse().ok()).unwrap_or(0);
    let group = match group {
        None => own_group,
        Some(group) => find_group(groups, group)?,
    };
    let name = field(0).unwrap_or_default();
    let is_member = |fields: &Vec<&str>| {
        !name.is_empty() && fields.get(3).is_some_and(|all| all.split(',').any(|each| each == name))
    };
    let named = lines(groups).filter(is_member).filter_map(|fields| fields.get(2)?.parse().ok());
    let home = field(5).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(Identity { user: id, group, groups: named.collect(), home })
}

fn find_group(groups: &str, group: &str) -> Result<u32, String> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let known = lines(groups).find(|fields| fields.first() == Some(&group));
    let number = known.and_then(|fields| fields.get(2)?.parse().ok());
    number.ok_or_else(|| format!("unable to find group {group}: no matching entries in group file"))
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.trim().split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:,,,:/home/app:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\nstaff:x:50:app,other\naudio:x:29:root,app\n";

    fn found(text: &str) -> (u32, u32, Vec<u32>, String) {
        let identity = find(USERS, GROUPS, text).expect("found");
        (identity.user, identity.group, identity.groups, identity.home)
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        assert_eq!(found(""), (0, 0, vec![29], "/root".to_owned()));
        assert_eq!(found("app"), (1000, 1001, vec![50, 29], "/home/app".to_owned()));
        assert_eq!(found("1000:staff"), (1000, 50, vec![50, 29], "/home/app".to_owned()));
        assert_eq!(found("77:88"), (77, 88, vec![], "/".to_owned()));
    }

    #[test]
    fn names_that_the_image_does_not_know_are_errors() {
        assert!(find(USERS, GROUPS, "nobody").is_err_and(|text| text.contains("user nobody")));
        assert!(find(USERS, GROUPS, "app:wheel").is_err_and(|text| text.contains("group wheel")));
    }

    #[test]
    fn a_link_cannot_lead_out_of_the_image() {
        let root = Path::new("/image");
        assert_eq!(within(root, root.join("etc"), Path::new("../../../etc/passwd")), Path::new("/image/etc/passwd"));
    }
}
