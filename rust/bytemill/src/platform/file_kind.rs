//! What a path or an open file refers to.

/// The kinds of file that the core treats differently; links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Content with a size.
    File,
    /// A folder.
    Folder,
    /// A pipe, which hangs without a writer.
    Pipe,
    /// A socket, which has no content to read by name.
    #[cfg_attr(windows, allow(dead_code, reason = "Windows has no sockets with names in folders"))]
    Socket,
    /// A device, which may have no end.
    Device,
}
