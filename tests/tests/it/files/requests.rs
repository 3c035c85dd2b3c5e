//! The folder that is asked for static files, and what it is asked.

/// Fields of requests: each alone, and some together.
pub(super) fn conditions(etag: &str, modified: &str) -> Vec<Vec<(&'static str, String)>> {
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let far = "Sunday, 06-Nov-60 08:49:37 GMT";
    let mut all = Vec::new();
    for name in ["If-Modified-Since", "If-Unmodified-Since"] {
        for date in [modified, old, far, "Sun Nov  6 08:49:37 2060", "x", ""] {
            all.push(vec![(name, date.to_owned())]);
        }
    }
    let lists = [
        etag.to_owned(),
        format!("W/{etag}"),
        format!("\"x\", {etag} ,\"y\""),
        format!("{etag}x, W/{etag}"),
        "*".to_owned(),
        "*, \"x\"".to_owned(),
        "\"x\"".to_owned(),
        String::new(),
    ];
    for list in lists {
        for name in ["If-None-Match", "If-Match", "If-Range"] {
            let range = ("Range", "bytes=1-3".to_owned());
            all.push(vec![(name, list.clone())]);
            all.push(vec![(name, list.clone()), range]);
            all.push(vec![(name, list.clone()), ("If-Modified-Since", modified.to_owned())]);
            all.push(vec![(name, list.clone()), ("If-Modified-Since", old.to_owned())]);
        }
    }
    for date in [modified, old, "x"] {
        let if_range = ("If-Range", date.to_owned());
        all.push(vec![if_range, ("Range", "bytes=-4".to_owned())]);
    }
    all.extend(RANGES.iter().map(|range| vec![("Range", (*range).to_owned())]));
    all
}

const RANGES: &[&str] = &[
    "bytes=0-0",
    "bytes=0-",
    "bytes=5-9",
    "Bytes=5-9",
    "bytes=-1",
    "bytes=-0",
    "bytes=-99999999",
    "bytes=19-99",
    "bytes=20-",
    "bytes=99999999-",
    "bytes=9-5",
    "bytes=9-5,1-2",
    "bytes=1-2,9999999-",
    "bytes=0-1,3-4",
    "bytes=0-1, 3-4 , -1",
    "bytes= 0 - 1 ,3 - ",
    "bytes=0-19,0-19",
    "bytes=3-4,0-1,5-5",
    "bytes=0-1,",
    "bytes=,0-1",
    "bytes=a-b",
    "bytes=1",
    "bytes=-",
    "bytes=",
    "bytes",
    "items=0-1",
    "bytes=0-9223372036854775807",
    "bytes=0-9223372036854775808",
    "bytes=9223372036854775807-9223372036854775807",
    "bytes=99999999999999999999-",
    "bytes=1-1,1-1,1-1,1-1",
    "bytes=100000-250000,0-0",
];

pub(super) const FILES: &[(&str, &str)] = &[
    ("a/site.css", "0123456789abcdefghij"),
    ("a/empty", ""),
    ("a/page.html", "<p>"),
    ("a/.css", "hidden"),
    ("a/x.tar.SVG", "<svg/>"),
    ("a/dir/index.html", "index"),
    ("a/dir/second.html", "second"),
    ("a/two/second.html", "second"),
    ("shop/site.css", "0123456789abcdefghij"),
    ("shop/empty", ""),
    ("shop/dir/index.html", "index"),
    ("shop/two/second.html", "second"),
];

pub(super) const URIS: &[&str] = &[
    "/P/site.css",
    "/P/site.css?a=b",
    "/P/empty",
    "/P/page.html",
    "/P/.css",
    "/P/x.tar.SVG",
    "/P/dir",
    "/P/dir?a=b",
    "/P/dir/",
    "/P/dir/?a=b",
    "/P/two/",
    "/P/none",
    "/P/none/",
    "/P/missing",
    "/P/missing/",
    "/P/missing/x",
    "/P/site.css/",
    "/P/site.css/x",
    "/P/index-dir/",
    "/P/sp%20ace%25",
    "/P/sp%20ace%25?x=%20",
    "/P/loop",
    "/P/loop/",
    "/P/link.css",
    "/P/dangling",
    "/P/socket",
    "/P/fifo",
    "/P/closed",
    "/P/long.txt",
];
