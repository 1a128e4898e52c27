//! Reading IDX files, plain or gzipped, without trusting them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// The most bytes that one file may announce. The largest known file announces 47 million.
const LARGEST_FILE_BYTES: u64 = 1 << 30;
const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
const CLASSES: u8 = 10;

/// Images of one size, one byte a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Number of images; at least 1.
    pub count: usize,
    /// Height of every image, in pixels; at least 1.
    pub rows: usize,
    /// Width of every image, in pixels; at least 1.
    pub columns: usize,
    /// `count * rows * columns` bytes: image after image, row after row; 0 is the background.
    pub pixels: Vec<u8>,
}

impl Images {
    /// The pixels of one image, row after row.
    ///
    /// # Panics
    /// If there are not that many images.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.rows * self.columns;
        &self.pixels[index * size..][..size]
    }
}

/// Images with their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    /// The images.
    pub images: Images,
    /// The class of each image, 0 to 9; as many as there are images.
    pub labels: Vec<u8>,
}

impl Examples {
    /// Number of images, which is the number of labels.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Keeps the first `limit` images, or all if there are fewer.
    pub fn truncate(&mut self, limit: usize) {
        self.labels.truncate(limit);
        self.images.count = self.labels.len();
        self.images.pixels.truncate(self.labels.len() * self.images.rows * self.images.columns);
    }
}

/// Reads a file of images and makes sure that it is whole.
pub fn read_images(path: &Path) -> Result<Images, Error> {
    let mut file = Idx::open(path)?;
    file.expect_magic(IMAGES_MAGIC, "images")?;
    let [count, rows, columns] = [file.size()?, file.size()?, file.size()?];
    let pixels = file.body([count, rows, columns])?;
    let [count, rows, columns] = [count, rows, columns].map(|size| size as usize);
    Ok(Images { count, rows, columns, pixels })
}

/// Reads a file of labels and makes sure that it is whole and each label is 0 to 9.
pub fn read_labels(path: &Path) -> Result<Vec<u8>, Error> {
    let mut file = Idx::open(path)?;
    file.expect_magic(LABELS_MAGIC, "labels")?;
    let count = file.size()?;
    let labels = file.body([count, 1, 1])?;
    match labels.iter().position(|&label| label >= CLASSES) {
        Some(index) => Err(Error::Label { path: path.to_owned(), index, found: labels[index] }),
        None => Ok(labels),
    }
}

/// An open IDX file and how far it was read.
struct Idx<'path> {
    path: &'path Path,
    packed: bool,
    reader: Box<dyn Read>,
    header_bytes: u64,
}

impl<'path> Idx<'path> {
    fn open(path: &'path Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        // The content decides, not the file's name: no IDX file starts like this.
        let packed = reader.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        Ok(Self { path, packed, reader, header_bytes: 0 })
    }

    fn expect_magic(&mut self, expected: u32, what: &'static str) -> Result<(), Error> {
        let found = self.size()?;
        if found == expected { Ok(()) } else { Err(Error::Magic { path: self.path.to_owned(), what, expected, found }) }
    }

    /// The next four bytes of the header.
    fn size(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        let found = self.fill(&mut bytes)?;
        self.header_bytes += 4;
        if found < bytes.len() {
            let expected = self.header_bytes;
            return Err(Error::Short { path: self.path.to_owned(), expected, found: expected - 4 + found as u64 });
        }
        Ok(u32::from_be_bytes(bytes))
    }

    /// Everything after the header, which announced these sizes.
    fn body(&mut self, sizes: [u32; 3]) -> Result<Vec<u8>, Error> {
        let announced = sizes.into_iter().map(u128::from).product::<u128>();
        if announced == 0 {
            let [count, rows, columns] = sizes.map(|size| size as usize);
            return Err(Error::Empty { path: self.path.to_owned(), count, rows, columns });
        }
        let length = u64::try_from(announced).ok().filter(|&length| length <= LARGEST_FILE_BYTES);
        let Some(length) = length else {
            return Err(Error::TooLarge { path: self.path.to_owned(), announced, limit: LARGEST_FILE_BYTES });
        };
        let expected = self.header_bytes + length;
        let mut body = Vec::new();
        // Grows with what arrives, so that a false header costs no memory.
        self.reader.by_ref().take(length).read_to_end(&mut body).map_err(|source| self.failed(source))?;
        if (body.len() as u64) < length {
            let found = self.header_bytes + body.len() as u64;
            return Err(Error::Short { path: self.path.to_owned(), expected, found });
        }
        // Reading on to the end also makes the gzip decoder compare its checksum.
        match self.fill(&mut [0])? {
            0 => Ok(body),
            _ => Err(Error::Trailing { path: self.path.to_owned(), expected }),
        }
    }

    /// Reads until the buffer is full or the file ends, and says how much it was.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(filled)
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.path.to_owned();
        if self.packed { Error::Gzip { path, source } } else { Error::Read { path, source } }
    }
}
