//! The archive of early user space: cpio in its "newc" form, written straight.

use std::path::Path;

/// An archive in the making. Folders must be added before what is in them.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    pub(crate) fn folder(&mut self, path: &str) {
        self.entry(path, 0o040_755, b"");
    }

    /// A file, and the folders it is in.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, 0o100_755, content);
    }

    /// Puts a file of this machine at the same place, with its folders.
    pub(crate) fn copy(&mut self, path: &Path) {
        let name = path.to_str().unwrap().trim_start_matches('/');
        for (at, _) in name.match_indices('/') {
            self.folder(&name[..at]);
        }
        self.file(name, &std::fs::read(path).unwrap());
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"");
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(content.len()).unwrap();
        let name_size = u32::try_from(name.len()).unwrap() + 1;
        // inode, mode, uid, gid, links, mtime, size, four device numbers, name size, check
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
