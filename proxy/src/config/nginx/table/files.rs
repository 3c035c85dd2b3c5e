//! The modules that list, take and cut files; how they are served is in `http`.

use super::Takes::{Anything, Flag, Many, Number, Once, Size, Word, Words};
use super::Treatment::{NoEffect, Refused, RefusedUnless};
use super::{EVERYWHERE, LEVELS, LOCATION, NONE, ONE_TO_THREE, Row, Treatment, row};

pub(super) const ROWS: &[Row] = &[
    row("autoindex", LEVELS, Flag, RefusedUnless("off", "listing folders is not supported yet")),
    row("autoindex_exact_size", LEVELS, Flag, LISTING),
    row("autoindex_format", LEVELS, Word(&["html", "json", "jsonp", "xml"]), LISTING),
    row("autoindex_localtime", LEVELS, Flag, LISTING),
    row("create_full_put_path", LEVELS, Flag, UPLOADING),
    row("dav_access", LEVELS, Once(ONE_TO_THREE), UPLOADING),
    row("dav_ext*", EVERYWHERE, Anything, Refused(UPLOADS)),
    row("dav_methods", LEVELS, Words(DAV), RefusedUnless("off", UPLOADS)),
    row("empty_gif", LOCATION, Many(NONE), Refused("serve a file instead")),
    row("flv", LOCATION, Many(NONE), MEDIA),
    row("f4f*", EVERYWHERE, Anything, MEDIA),
    row("hls*", EVERYWHERE, Anything, MEDIA),
    row("min_delete_depth", LEVELS, Number, UPLOADING),
    row("mp4", LOCATION, Many(NONE), MEDIA),
    row("mp4_*", EVERYWHERE, Anything, MEDIA),
    row("random_index", LOCATION, Flag, Refused("use index")),
    row("slice", LEVELS, Size, RefusedUnless("0", "nothing is cached, so nothing is sliced")),
];

const UPLOADS: &str = "files are served, never taken: let an app take them";
const UPLOADING: Treatment = NoEffect("it means something with dav_methods alone");
const LISTING: Treatment = NoEffect("it means something with autoindex alone");
const MEDIA: Treatment = Refused("media files are served whole or by range: take it out");
const DAV: &[&str] = &["off", "put", "delete", "mkcol", "copy", "move"];
