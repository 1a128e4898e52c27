//! JSON web tokens, signed with ES256. Nothing else is made, and nothing else is believed.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};

/// Signs tokens and knows its own again.
pub(super) struct Signer {
    pair: EcdsaKeyPair,
    id: String,
}

/// The key is no P-256 key in a PKCS#8 PEM.
#[derive(Debug, thiserror::Error)]
#[error("the key that signs tokens cannot be used")]
pub(super) struct UnusableKey;

impl Signer {
    pub(super) fn new(pem: &str) -> Result<Self, UnusableKey> {
        let text: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let der = STANDARD.decode(text).map_err(|_| UnusableKey)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new());
        let pair = pair.map_err(|_| UnusableKey)?;
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, pair.public_key().as_ref()));
        Ok(Self { pair, id })
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, UnusableKey> {
        let header = json!({"alg": "ES256", "kid": self.id});
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| UnusableKey)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that this key has signed; whether they still hold is another question.
    pub(super) fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header["alg"] != "ES256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        key.verify(signed.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new(&rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap()
    }

    #[test]
    fn a_token_gives_its_claims_to_its_own_key_only() {
        let (ours, theirs) = (signer(), signer());
        let claims = json!({"sub": "system:serviceaccount:a:b", "exp": 1});
        let token = ours.sign(&claims).unwrap();
        assert_eq!(ours.claims(&token), Some(claims));
        assert_eq!(theirs.claims(&token), None);
    }

    #[test]
    fn a_token_that_was_changed_is_not_believed() {
        let signer = signer();
        let token = signer.sign(&json!({"sub": "a"})).unwrap();
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        parts[1] = URL_SAFE_NO_PAD.encode(json!({"sub": "b"}).to_string());
        assert_eq!(signer.claims(&parts.join(".")), None);
        parts[0] = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
        parts[2] = String::new();
        assert_eq!(signer.claims(&parts.join(".")), None);
        assert_eq!(signer.claims("a.b"), None);
        assert_eq!(signer.claims(""), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Signer::new("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    }
}
