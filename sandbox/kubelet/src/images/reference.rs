//! Names of images.

/// Why a text names no image, as clients of registries say it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidReference(pub String);

/// A name of an image, in full: registry, repository, and a digest or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    repository: String,
    version: String,
}

impl Reference {
    /// Reads a name as Docker does: without registry it is Docker Hub's, without tag it is `latest`; a digest counts more
    /// than a tag.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference("invalid reference format".to_owned());
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let digest_ok = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
        };
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let tag_ok = |tag: &str| {
            tag.len() <= 128
                && tag.bytes().next().is_some_and(word)
                && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
        };
        if !digest.is_none_or(digest_ok) || !tag.is_none_or(tag_ok) {
            return Err(invalid());
        }
        let repository = repository(name)?;
        let version = match (digest, tag) {
            (Some(digest), _) => format!("@{digest}"),
            (None, tag) => format!(":{}", tag.unwrap_or("latest")),
        };
        Ok(Self { repository, version })
    }

    /// Registry and repository, as `docker.io/library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The registry, as `docker.io`.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// The repository without its registry, as `library/busybox`.
    pub fn path(&self) -> &str {
        self.repository.split_once('/').map_or("", |(_, path)| path)
    }

    /// The tag or the digest, as a registry is asked for it: `latest`, `sha256:0123...`.
    pub fn version(&self) -> &str {
        self.version.trim_start_matches([':', '@'])
    }

    /// The digest, if the name has one.
    pub fn digest(&self) -> Option<&str> {
        self.version.strip_prefix('@')
    }

    /// All of it, as `docker.io/library/busybox:latest`.
    pub fn whole(&self) -> String {
        format!("{}{}", self.repository, self.version)
    }
}

fn repository(name: &str) -> Result<String, InvalidReference> {
    let is_registry = |part: &str| {
        part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let (registry, path) = match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => (registry, path),
        _ => ("docker.io", name),
    };
    let path = match (registry, path.contains('/')) {
        ("docker.io" | "index.docker.io", false) => format!("library/{path}"),
        _ => path.to_owned(),
    };
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(InvalidReference(format!("invalid reference format: repository name ({path}) must be lowercase")));
    }
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part_ok = |part: &str| {
        part.bytes().next().is_some_and(letter)
            && part.bytes().last().is_some_and(letter)
            && part.bytes().all(|byte| letter(byte) || matches!(byte, b'.' | b'_' | b'-'))
    };
    let host_ok = registry.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-'));
    if !host_ok || registry.is_empty() || !path.split('/').all(part_ok) {
        return Err(InvalidReference("invalid reference format".to_owned()));
    }
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    Ok(format!("{registry}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_completes_them() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (short, whole) in [
            ("busybox", "docker.io/library/busybox:latest".to_owned()),
            ("me/app:1.2", "docker.io/me/app:1.2".to_owned()),
            ("localhost:5000/app", "localhost:5000/app:latest".to_owned()),
            ("ghcr.io/a/b/c:x", "ghcr.io/a/b/c:x".to_owned()),
            (&format!("app:1@{digest}"), format!("docker.io/library/app@{digest}")),
        ] {
            assert_eq!(Reference::parse(short).expect(short).whole(), whole);
        }
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for wrong in ["", ":1", "a b", "app:", "app@sha256:12", "a//b", "-a", "App", "docker.io/App:1", "a:b:c"] {
            Reference::parse(wrong).expect_err(wrong);
        }
    }
}
