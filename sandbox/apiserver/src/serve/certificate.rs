//! Who a client's certificate is for.

use crate::User;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];

/// The user that a verified certificate names: its common name, and its organizations as groups.
pub(super) fn user(certificate: &[u8]) -> Option<User> {
    let (_, inside, _) = element(certificate)?;
    let (_, mut fields, _) = element(inside)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let (_, mut subject, _) = element(fields)?;
    let mut user = User::default();
    while !subject.is_empty() {
        let (tag, mut attributes, rest) = element(subject)?;
        subject = rest;
        while tag == SET && !attributes.is_empty() {
            let (tag, attribute, rest) = element(attributes)?;
            attributes = rest;
            if tag == SEQUENCE {
                take(attribute, &mut user)?;
            }
        }
    }
    user.groups.push("system:authenticated".to_owned());
    Some(user).filter(|user| !user.name.is_empty())
}

fn take(attribute: &[u8], user: &mut User) -> Option<()> {
    let (tag, name, rest) = element(attribute)?;
    let (_, value, _) = element(rest)?;
    let value = || String::from_utf8_lossy(value).into_owned();
    if tag == OBJECT_IDENTIFIER && name == COMMON_NAME {
        user.name = value();
    } else if tag == OBJECT_IDENTIFIER && name == ORGANIZATION {
        user.groups.push(value());
    }
    Some(())
}

/// The first DER element: its tag, what is in it, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, bytes) = bytes.split_first()?;
    let (first, bytes) = bytes.split_first()?;
    let (length, bytes) = if *first < 0x80 {
        (usize::from(*first), bytes)
    } else {
        let (length, bytes) = bytes.split_at_checked(usize::from(first & 0x7f))?;
        (length.iter().try_fold(0usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?, bytes)
    };
    let (inside, rest) = bytes.split_at_checked(length)?;
    Some((*tag, inside, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn a_certificate_names_its_user_and_groups() {
        let folder = tempfile::tempdir().expect("a folder");
        let credentials = crate::Credentials::open(folder.path(), &[]).expect("credentials");
        let pem = credentials.administrator.certificate.as_bytes();
        let certificate = CertificateDer::from_pem_slice(pem).expect("a certificate");
        let user = user(&certificate).expect("a user");
        assert_eq!(user.name, "kubernetes-admin");
        assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
        for length in 0..certificate.len() {
            // Cut short, it may name nobody or somebody, but reading it ends.
            let _ = super::user(&certificate[..length]);
        }
    }
}
