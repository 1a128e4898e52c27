//! The page to draw on, in one piece.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const TEMPLATE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The page and the policy under which browsers show it.
#[derive(Debug)]
pub struct Page {
    /// The whole page.
    pub html: String,
    /// The Content-Security-Policy: this style, this script, and nothing from elsewhere.
    pub policy: String,
}

impl Page {
    /// Puts the page together; the introduction is a sentence below the heading.
    pub fn new(introduction: &str) -> Self {
        let introduction = introduction.replace('&', "&amp;").replace('<', "&lt;");
        let html = TEMPLATE
            .replace("<!--introduction-->", &introduction)
            .replace("/*style*/", STYLE)
            .replace("/*script*/", SCRIPT);
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; img-src data: blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT),
        );
        Self { html, policy }
    }
}
