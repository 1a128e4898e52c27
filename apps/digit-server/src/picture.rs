//! Making any picture of a digit look like one of MNIST.
//!
//! The digit is found by how much it differs from the border, so that dark on light and light on dark are alike. It is
//! scaled into a box of 20 x 20 pixels and put with its centre of mass into the middle of 28 x 28.

use std::io::Cursor;

use digits::{PIXELS, SIDE};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Luma};

/// The largest height or width, in pixels. Larger ones are refused before they are unpacked.
const LARGEST_SIDE: u32 = 4_096;
/// The most memory for unpacking, in bytes.
const LARGEST_UNPACKED_BYTES: u64 = 80 << 20;
/// Height and width of the box for the digit, in pixels.
const BOX_SIDE: u32 = 20;
/// What differs less from the background than this is taken for blank, 0 to 255.
const LEAST_CONTRAST: f32 = 24.0;
/// Parts of the strongest ink that are taken for paper: shades and the noise of cameras and JPEG.
const NOISE: f32 = 0.15;

/// Gray values, one number a pixel.
type Gray = ImageBuffer<Luma<f32>, Vec<f32>>;

/// Why a file shows no digit.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Neither PNG nor JPEG.
    #[error("the file is neither PNG nor JPEG")]
    Format,
    /// It cannot be unpacked.
    #[error("the file is damaged: {0}")]
    Damaged(ImageError),
    /// More pixels than are worked on.
    #[error("the picture is larger than {LARGEST_SIDE} x {LARGEST_SIDE} pixels")]
    TooLarge,
    /// Nothing is drawn.
    #[error("the picture is blank: nothing in it differs from its border")]
    Blank,
}

/// The 784 bytes that the model should read for a PNG or JPEG file.
pub fn prepare(file: &[u8]) -> Result<Vec<u8>, PictureError> {
    let ink = ink(&gray(&decode(file)?))?;
    let (left, top, width, height) = extent(&ink).ok_or(PictureError::Blank)?;
    let digit = imageops::crop_imm(&ink, left, top, width, height).to_image();
    let longest = width.max(height);
    let scaled = |side: u32| (side * BOX_SIDE).div_ceil(longest).clamp(1, BOX_SIDE);
    let (width, height) = (scaled(width), scaled(height));
    let digit = if digit.dimensions() == (width, height) {
        digit
    } else {
        strengthen(imageops::resize(&digit, width, height, FilterType::Triangle))
    };
    Ok(centre(&digit))
}

fn decode(file: &[u8]) -> Result<DynamicImage, PictureError> {
    let failed = |error| match error {
        ImageError::Limits(_) => PictureError::TooLarge,
        error => PictureError::Damaged(error),
    };
    let format = image::guess_format(file).map_err(|_| PictureError::Format)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg) {
        return Err(PictureError::Format);
    }
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_UNPACKED_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    // Cameras store the picture as the sensor saw it and say beside it how it was held.
    let orientation = decoder.orientation().map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Brightness, 0 to 255. What is transparent becomes the opposite of what is drawn.
fn gray(picture: &DynamicImage) -> Gray {
    let with_alpha = picture.to_luma_alpha8();
    let (mut light, mut weight) = (0.0, 0.0);
    for pixel in with_alpha.pixels() {
        let [value, alpha] = pixel.0.map(f64::from);
        light += value * alpha;
        weight += alpha;
    }
    let background = if weight > 0.0 && light / weight > 127.0 { 0.0 } else { 255.0 };
    Gray::from_fn(picture.width(), picture.height(), |x, y| {
        let [value, alpha] = with_alpha.get_pixel(x, y).0.map(f32::from);
        Luma([(value * alpha + background * (255.0 - alpha)) / 255.0])
    })
}

/// How much each pixel differs from the border, 0 to 1, which is the range that scaling keeps; the strongest is 1.
fn ink(gray: &Gray) -> Result<Gray, PictureError> {
    let (width, height) = gray.dimensions();
    let on_border = |x: u32, y: u32| x == 0 || y == 0 || x == width - 1 || y == height - 1;
    let mut border = gray
        .enumerate_pixels()
        .filter(|&(x, y, _)| on_border(x, y))
        .map(|(_, _, pixel)| pixel.0[0])
        .collect::<Vec<_>>();
    let middle = border.len() / 2;
    let (_, &mut background, _) = border.select_nth_unstable_by(middle, f32::total_cmp);
    // Ink is on one side of the paper only: else a highlight on dark paper would count like a stroke.
    let sign = if background > 127.0 { -1.0 } else { 1.0 };
    let differs = |value: f32| (sign * (value - background)).max(0.0);
    let strongest = gray.pixels().map(|pixel| differs(pixel.0[0])).fold(0.0, f32::max);
    if strongest < LEAST_CONTRAST {
        return Err(PictureError::Blank);
    }
    Ok(Gray::from_fn(width, height, |x, y| {
        let part = differs(gray.get_pixel(x, y).0[0]) / strongest;
        Luma([if part < NOISE { 0.0 } else { part }])
    }))
}

/// Left, top, width and height of the part that has ink.
fn extent(ink: &Gray) -> Option<(u32, u32, u32, u32)> {
    let inked = || ink.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0.0);
    let (left, right) = (inked().map(|(x, ..)| x).min()?, inked().map(|(x, ..)| x).max()?);
    let (top, bottom) = (inked().map(|(_, y, _)| y).min()?, inked().map(|(_, y, _)| y).max()?);
    Some((left, top, right - left + 1, bottom - top + 1))
}

/// Scaling thins fine lines out; the strongest pixel is white again after this.
fn strengthen(mut digit: Gray) -> Gray {
    let strongest = digit.pixels().map(|pixel| pixel.0[0]).fold(f32::MIN_POSITIVE, f32::max);
    for pixel in digit.pixels_mut() {
        pixel.0[0] /= strongest;
    }
    digit
}

/// Puts the digit's centre of mass into the middle.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are below 28"
)]
fn centre(digit: &Gray) -> Vec<u8> {
    let (mut mass, mut mass_x, mut mass_y) = (0.0, 0.0, 0.0);
    for (x, y, pixel) in digit.enumerate_pixels() {
        mass += pixel.0[0];
        mass_x += pixel.0[0] * (x as f32 + 0.5);
        mass_y += pixel.0[0] * (y as f32 + 0.5);
    }
    let offset = |moment: f32, side: u32| {
        let wanted = (SIDE as f32 / 2.0 - moment / mass).round();
        wanted.clamp(0.0, SIDE as f32 - side as f32) as usize
    };
    let (left, top) = (offset(mass_x, digit.width()), offset(mass_y, digit.height()));
    let mut pixels = vec![0; PIXELS];
    for (x, y, pixel) in digit.enumerate_pixels() {
        pixels[(top + y as usize) * SIDE + left + x as usize] = (255.0 * pixel.0[0]).round() as u8;
    }
    pixels
}
