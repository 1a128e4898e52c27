//! Certificates and keys of one sandbox.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// What the server's certificate is for, besides what the caller adds.
const NAMES: [&str; 8] = [
    "localhost",
    "127.0.0.1",
    "::1",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Why the credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read or written.
    #[error("read or write {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A key or certificate cannot be made from what is there.
    #[error("make certificates in {folder}", folder = folder.display())]
    Certificate {
        /// The folder of the credentials.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: rcgen::Error,
    },
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// The sandbox's certificate authority, its server's and its administrator's certificates, and the key that signs the
/// tokens of service accounts. Kept in the sandbox's folder, readable by its user only.
#[derive(Clone)]
pub struct Credentials {
    /// The authority's certificate, PEM.
    pub authority: String,
    /// The server.
    pub server: Identity,
    /// The administrator.
    pub administrator: Identity,
    /// Signs tokens: an EC P-256 key, PKCS#8 PEM.
    pub token_key: String,
}

impl Credentials {
    /// Reads the credentials from the sandbox's folder, or makes what is missing. The server's certificate is made anew
    /// each time, for these names and addresses too.
    pub fn open(folder: &Path, names: &[String]) -> Result<Self, CredentialsError> {
        let folder = folder.join("credentials");
        fs::create_dir_all(&folder).map_err(|cause| CredentialsError::File { path: folder.clone(), cause })?;
        let files = Files { folder };
        let authority = files.identity("ca", || authority(&files))?;
        let issuer = KeyPair::from_pem(&authority.key)
            .map(|key| Issuer::new(authority_params(), key))
            .map_err(|cause| files.certificate(cause))?;
        let administrator = files.identity("administrator", || {
            let mut params = named("kubernetes-admin", Some("system:masters"));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            signed(&params, &issuer).map_err(|cause| files.certificate(cause))
        })?;
        let token_key = files.text("tokens.key", || {
            Ok(KeyPair::generate().map_err(|cause| files.certificate(cause))?.serialize_pem())
        })?;
        let names: Vec<&str> = NAMES.into_iter().chain(names.iter().map(String::as_str)).collect();
        let server = server(&names, &issuer).map_err(|cause| files.certificate(cause))?;
        Ok(Self { authority: authority.certificate, server, administrator, token_key })
    }

    /// A kubeconfig for the administrator; `server` is the URL of the API.
    pub fn kubeconfig(&self, server: &str) -> String {
        let encode = |text: &str| STANDARD.encode(text);
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {}\nusers:\n- name: sandbox\n  user:\n    client-certificate-data: {}\n    \
             client-key-data: {}\ncontexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: sandbox\n\
             current-context: sandbox\n",
            encode(&self.authority),
            encode(&self.administrator.certificate),
            encode(&self.administrator.key),
        )
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials")
    }
}

struct Files {
    folder: PathBuf,
}

impl Files {
    fn certificate(&self, cause: rcgen::Error) -> CredentialsError {
        CredentialsError::Certificate { folder: self.folder.clone(), cause }
    }

    /// The text of this file, made first when it is missing.
    fn text(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, CredentialsError>,
    ) -> Result<String, CredentialsError> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let text = make()?;
                write_private(&path, &text).map_err(|cause| CredentialsError::File { path, cause })?;
                Ok(text)
            }
            Err(cause) => Err(CredentialsError::File { path, cause }),
        }
    }

    /// A certificate with its key, one file, so that no half of a pair is ever left.
    fn identity(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Identity, CredentialsError>,
    ) -> Result<Identity, CredentialsError> {
        let text = self.text(&format!("{name}.pem"), || make().map(|it| format!("{}{}", it.certificate, it.key)))?;
        let middle = text.find("-----BEGIN PRIVATE KEY").unwrap_or(text.len());
        Ok(Identity { certificate: text[..middle].to_owned(), key: text[middle..].to_owned() })
    }
}

/// Writes beside the file and renames: the file is never half there.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)
}

fn authority(files: &Files) -> Result<Identity, CredentialsError> {
    let make = || {
        let key = KeyPair::generate()?;
        Ok(Identity { certificate: authority_params().self_signed(&key)?.pem(), key: key.serialize_pem() })
    };
    make().map_err(|cause| files.certificate(cause))
}

fn authority_params() -> CertificateParams {
    let mut params = named("sandbox", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn server(names: &[&str], issuer: &Issuer<'_, KeyPair>) -> Result<Identity, rcgen::Error> {
    let mut params = named("kube-apiserver", None);
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse::<IpAddr>() {
            Ok(address) => Ok(rcgen::SanType::IpAddress(address)),
            Err(_) => Ok(rcgen::SanType::DnsName((*name).try_into()?)),
        })
        .collect::<Result<_, rcgen::Error>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    signed(&params, issuer)
}

fn named(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}

fn signed(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Identity, rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok(Identity { certificate: params.signed_by(&key, issuer)?.pem(), key: key.serialize_pem() })
}
