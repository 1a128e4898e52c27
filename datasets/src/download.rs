//! Fetching the original files.
//!
//! Made for programs that run in an image with nothing in it: names resolve without the C library, and the certificate
//! authorities are part of the program.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::{File, Origin};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence in the middle of a file.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// No original file has half of this, and an endless answer must end somewhere.
const LARGEST_FILE_BYTES: u64 = 64 << 20;

/// Why a file was not fetched. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No client could be made.
    #[error("prepare TLS")]
    Tls(#[source] Box<dyn StdError + Send + Sync>),
    /// The folder or the file cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A different file of that name is in the way; it was not touched.
    #[error(
        "fetch {}: a file that is not the original is there already; remove it or fetch into another folder",
        path.display()
    )]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// The request or the answer broke off.
    #[error("fetch {url}")]
    Request {
        /// The address.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered with something else.
    #[error("fetch {url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The answer does not end.
    #[error("fetch {url}: the answer is longer than {limit} bytes")]
    TooLong {
        /// The address.
        url: String,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The answer is not the original file.
    #[error("fetch {url}: its SHA-256 is {found} and should be {expected}; nothing was kept")]
    Checksum {
        /// The address.
        url: String,
        /// The pinned checksum.
        expected: String,
        /// The checksum of what came.
        found: String,
    },
    /// The set is published nowhere.
    #[error("fetch {file}: no address is known for it")]
    NoMirror {
        /// The file's name.
        file: String,
    },
}

/// Fetches the files of `origin` into `folder` and returns their paths, in the order of `origin.files`.
///
/// A file that is there with the right checksum is not fetched again. A file appears under its name only when it is
/// whole and its checksum is right, also if the program is killed. The mirrors are tried in turn; the error is that of
/// the last one. Needs a Tokio runtime with time and I/O.
pub async fn download(origin: &Origin, folder: &Path) -> Result<Vec<PathBuf>, DownloadError> {
    let client = client()?;
    std::fs::create_dir_all(folder).map_err(|source| DownloadError::Write { path: folder.to_owned(), source })?;
    let mut paths = Vec::with_capacity(origin.files.len());
    for file in &origin.files {
        let path = folder.join(file.name());
        if !is_there(&path, file)? {
            fetch_from_any(&client, &origin.mirrors, file, &path).await?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// A client that needs nothing of the machine but its name servers.
fn client() -> Result<Client, DownloadError> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| DownloadError::Tls(Box::new(source)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|source| DownloadError::Tls(Box::new(source)))
}

/// Whether the original file is there; another one in its place is an error.
fn is_there(path: &Path, file: &File) -> Result<bool, DownloadError> {
    let mut digest = Sha256::new();
    let hashed = std::fs::File::open(path).and_then(|mut opened| io::copy(&mut opened, &mut HashWriter(&mut digest)));
    match hashed {
        Ok(_) if hexadecimal(digest) == file.sha256 => Ok(true),
        Ok(_) => Err(DownloadError::Occupied { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DownloadError::Write { path: path.to_owned(), source }),
    }
}

async fn fetch_from_any(client: &Client, mirrors: &[String], file: &File, path: &Path) -> Result<(), DownloadError> {
    let mut outcome = Err(DownloadError::NoMirror { file: file.name() });
    for mirror in mirrors {
        outcome = fetch(client, &format!("{mirror}{}", file.name()), &file.sha256, path).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Fetches one file beside its place and moves it there when it is proven.
async fn fetch(client: &Client, url: &str, sha256: &str, path: &Path) -> Result<(), DownloadError> {
    let request_failed =
        |source: reqwest::Error| DownloadError::Request { url: url.to_owned(), source: source.without_url() };
    let write_failed = |source| DownloadError::Write { path: path.to_owned(), source };
    let mut response = client.get(url).send().await.map_err(request_failed)?;
    if !response.status().is_success() {
        return Err(DownloadError::Status { url: url.to_owned(), status: response.status().as_u16() });
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut kept = NamedTempFile::new_in(folder).map_err(write_failed)?;
    let mut digest = Sha256::new();
    let mut length = 0;
    while let Some(chunk) = response.chunk().await.map_err(request_failed)? {
        length += chunk.len() as u64;
        if length > LARGEST_FILE_BYTES {
            return Err(DownloadError::TooLong { url: url.to_owned(), limit: LARGEST_FILE_BYTES });
        }
        digest.update(&chunk);
        kept.write_all(&chunk).map_err(write_failed)?;
    }
    let found = hexadecimal(digest);
    if found != sha256 {
        return Err(DownloadError::Checksum { url: url.to_owned(), expected: sha256.to_owned(), found });
    }
    kept.as_file().sync_all().map_err(write_failed)?;
    kept.persist(path).map_err(|error| write_failed(error.error))?;
    Ok(())
}

/// Feeds what is written to it into a digest.
struct HashWriter<'digest>(&'digest mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hexadecimal(digest: Sha256) -> String {
    use std::fmt::Write as _;
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
