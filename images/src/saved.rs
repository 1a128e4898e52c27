//! Takes layers out of what `docker save` writes.

use std::collections::BTreeSet;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::oci;
use crate::store::{Store, StoreError};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An exported image cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The archive ends early or is damaged.
    #[error("cannot read the exported image")]
    Read(#[source] io::Error),
    /// The layers cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts those layers into the store that are wanted and not there, by the digest of the layer as plain tar.
///
/// Knows the older form (`ID/layer.tar`) and the newer one (`blobs/sha256/DIGEST`, there maybe compressed). What lies where is
/// not asked: a file whose content is a wanted layer is that layer.
pub fn take_layers(store: &Store, archive: impl Read, wanted: &BTreeSet<String>) -> Result<(), SavedError> {
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(SavedError::Read)? {
        let mut entry = entry.map_err(SavedError::Read)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let blob = path.strip_prefix("blobs/sha256/").map(|name| format!("sha256:{name}"));
        let may_be_layer = path.ends_with("/layer.tar") || blob.is_some();
        let known = blob.is_some_and(|digest| wanted.contains(&digest) && store.find(oci::LAYER, &digest).is_some());
        if entry.header().entry_type() == EntryType::Regular && may_be_layer && !known {
            take_layer(store, &mut entry, wanted)?;
        }
    }
    Ok(())
}

fn take_layer(store: &Store, entry: &mut impl Read, wanted: &BTreeSet<String>) -> Result<(), SavedError> {
    let mut magic = Vec::new();
    entry.by_ref().take(2).read_to_end(&mut magic).map_err(SavedError::Read)?;
    let compressed = magic == GZIP_MAGIC;
    let whole = io::Cursor::new(magic).chain(entry);
    let mut plain: Box<dyn Read> = if compressed { Box::new(GzDecoder::new(whole)) } else { Box::new(whole) };
    let mut writer = store.writer()?;
    writer.copy_from(&mut plain, SavedError::Read)?;
    writer.commit_wanted(oci::LAYER, wanted)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::digest;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn compressed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn layers_are_found_in_the_older_and_the_newer_form_and_nothing_else_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let packed = compressed(b"packed layer");
        let plain_name = format!("blobs/sha256/{}", &digest::of_bytes(b"plain layer")[7..]);
        let packed_name = format!("blobs/sha256/{}", &digest::of_bytes(&packed)[7..]);
        let saved = archive(&[
            ("abc/layer.tar", b"old layer"),
            ("abc/json", b"{}"),
            (&plain_name, b"plain layer"),
            (&packed_name, &packed),
            ("blobs/sha256/config", b"{\"config\":1}"),
            ("manifest.json", b"[]"),
        ]);
        let wanted: BTreeSet<String> = [&b"old layer"[..], b"plain layer", b"packed layer"]
            .iter()
            .map(|content| digest::of_bytes(content))
            .collect();
        take_layers(&store, &saved[..], &wanted).unwrap();
        assert!(wanted.iter().all(|digest| store.find(oci::LAYER, digest).is_some()));
        assert!(store.find(oci::LAYER, &digest::of_bytes(b"{\"config\":1}")).is_none());
    }

    #[test]
    fn an_archive_that_ends_early_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let saved = archive(&[("abc/layer.tar", &[1; 5000])]);
        let wanted = BTreeSet::from([digest::of_bytes(&[1; 5000])]);
        assert!(matches!(take_layers(&store, &saved[..3000], &wanted), Err(SavedError::Read(_))));
        assert!(store.find(oci::LAYER, wanted.first().unwrap()).is_none());
    }
}
