//! Reading what `/predict` is sent.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use digits::{PIXELS, SIDE};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::answer::Refusal;

/// The most bytes of a body. A batch of JSON has the longest ones.
pub const LARGEST_BODY_BYTES: usize = 8 << 20;
/// The most pictures of one request.
const LARGEST_BATCH: usize = 1_000;

/// What was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// One picture's pixels.
    Pixels(Vec<u8>),
    /// The pixels of several pictures.
    Batch(Vec<Vec<u8>>),
    /// A file, PNG or JPEG by its own account.
    File(Bytes),
}

/// Reads a request by its content type.
pub async fn read(request: Request) -> Result<Sent, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => parse(&whole_body(request).await?),
        "image/png" | "image/jpeg" => Ok(Sent::File(whole_body(request).await?)),
        "multipart/form-data" => form_file(request).await,
        "" => Err(Refusal::unsupported(format!("the Content-Type header is missing; {KINDS}"))),
        other => Err(Refusal::unsupported(format!("{other:?} is not understood; {KINDS}"))),
    }
}

const KINDS: &str = "send application/json, image/png, image/jpeg or multipart/form-data";

async fn whole_body(request: Request) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, &()).await.map_err(|rejection| {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::too_large(format!("the body has more than {LARGEST_BODY_BYTES} bytes"))
        } else {
            Refusal::bad_request(format!("the body broke off: {}", rejection.body_text()))
        }
    })
}

/// The one file of a form.
async fn form_file(request: Request) -> Result<Sent, Refusal> {
    let refusal = |error: axum::extract::multipart::MultipartError| {
        if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::too_large(format!("the body has more than {LARGEST_BODY_BYTES} bytes"))
        } else {
            Refusal::bad_request(format!("the form cannot be read: {}", error.body_text()))
        }
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| Refusal::bad_request(format!("the form cannot be read: {}", rejection.body_text())))?;
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(refusal)? {
        if field.file_name().is_none() {
            continue;
        }
        if file.is_some() {
            return Err(Refusal::bad_request("the form has several files; send one"));
        }
        file = Some(field.bytes().await.map_err(refusal)?);
    }
    file.map(Sent::File).ok_or_else(|| Refusal::bad_request("the form has no file"))
}

fn parse(body: &[u8]) -> Result<Sent, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        pixels: Option<Picture>,
        images: Option<Batch>,
    }
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the JSON is not understood: {error}")))?;
    match body {
        Body { pixels: Some(Picture(pixels)), images: None } => Ok(Sent::Pixels(pixels)),
        Body { pixels: None, images: Some(Batch(images)) } => Ok(Sent::Batch(images)),
        _ => Err(Refusal::bad_request("the JSON must have either \"pixels\" or \"images\"")),
    }
}

/// 784 numbers, flat or as 28 rows of 28. Reading stops at the first that is too many.
struct Picture(Vec<u8>);

/// Up to a thousand pictures.
struct Batch(Vec<Vec<u8>>);

/// One element of a picture: a pixel or a row of pixels.
enum Element {
    Pixel(f32),
    Row(Vec<f32>),
}

impl<'de> Deserialize<'de> for Picture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PictureVisitor;
        impl<'de> Visitor<'de> for PictureVisitor {
            type Value = Picture;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("784 numbers, flat or as 28 rows of 28")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Picture, A::Error> {
                let mut values = Vec::with_capacity(PIXELS);
                let mut nested = None;
                while let Some(element) = sequence.next_element()? {
                    let is_row = matches!(element, Element::Row(_));
                    if *nested.get_or_insert(is_row) != is_row {
                        return Err(de::Error::custom("a picture mixes numbers and rows"));
                    }
                    match element {
                        Element::Pixel(value) => values.push(value),
                        Element::Row(row) => values.extend(row),
                    }
                    if values.len() > PIXELS {
                        return Err(de::Error::custom("a picture has more than 784 pixels"));
                    }
                }
                if values.len() < PIXELS {
                    let found = values.len();
                    return Err(de::Error::custom(format!("a picture has {found} pixels and should have 784")));
                }
                Ok(Picture(to_bytes(&values)))
            }
        }
        deserializer.deserialize_seq(PictureVisitor)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BatchVisitor;
        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of pictures")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Batch, A::Error> {
                let mut pictures = Vec::new();
                while let Some(Picture(picture)) = sequence.next_element()? {
                    if pictures.len() == LARGEST_BATCH {
                        return Err(de::Error::custom(format!("there are more than {LARGEST_BATCH} pictures")));
                    }
                    pictures.push(picture);
                }
                if pictures.is_empty() {
                    return Err(de::Error::custom("there are no pictures"));
                }
                Ok(Batch(pictures))
            }
        }
        deserializer.deserialize_seq(BatchVisitor)
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor { rows_allowed: true })
    }
}

/// Reads a pixel, or a row where one may stand.
struct ElementVisitor {
    rows_allowed: bool,
}

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.rows_allowed {
            "a number from 0 to 255 or a row of 28"
        } else {
            "a number from 0 to 255"
        })
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Element, E> {
        if (0.0..=255.0).contains(&value) {
            #[expect(clippy::cast_possible_truncation, reason = "eight bits of it are used")]
            return Ok(Element::Pixel(value as f32));
        }
        Err(E::custom(format!("a pixel is {value} and should be 0 to 255")))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Element, E> {
        #[expect(clippy::cast_precision_loss, reason = "what is not exact is out of range")]
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Element, E> {
        #[expect(clippy::cast_precision_loss, reason = "what is not exact is out of range")]
        self.visit_f64(value as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Element, A::Error> {
        if !self.rows_allowed {
            return Err(de::Error::custom("a row holds another list"));
        }
        let mut row = Vec::with_capacity(SIDE);
        while let Some(value) = sequence.next_element_seed(PixelSeed)? {
            row.push(value);
            if row.len() > SIDE {
                return Err(de::Error::custom("a row has more than 28 pixels"));
            }
        }
        if row.len() < SIDE {
            return Err(de::Error::custom(format!("a row has {} pixels and should have 28", row.len())));
        }
        Ok(Element::Row(row))
    }
}

/// Reads one number of a row; a list in it would be another depth.
struct PixelSeed;

impl<'de> de::DeserializeSeed<'de> for PixelSeed {
    type Value = f32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<f32, D::Error> {
        match deserializer.deserialize_any(ElementVisitor { rows_allowed: false })? {
            Element::Pixel(value) => Ok(value),
            Element::Row(_) => Err(de::Error::custom("a row holds another list")),
        }
    }
}

/// Pixels as bytes. A picture in which no pixel is above 1 counts in parts of 1, every other in parts of 255.
fn to_bytes(values: &[f32]) -> Vec<u8> {
    let scale = if values.iter().all(|&value| value <= 1.0) { 255.0 } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "every value is 0 to 255")]
    values.iter().map(|value| (value * scale).round() as u8).collect()
}
