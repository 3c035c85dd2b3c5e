//! What many rules in an nginx.conf are: 50 locations, two maps and a rewrite.

use std::fmt::Write as _;

/// What every location that proxies a Shiny app has: its Host, and WebSockets.
pub const PROXYING: &str = "            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
";

/// What is put into a plain nginx.conf, by place.
#[derive(Debug)]
pub struct Rules {
    /// In `http`.
    pub maps: String,
    /// In `server`, in front of the location of the bench's requests, `/bytes/` and a number.
    pub before: String,
    /// The arguments of that location.
    pub place: &'static str,
    /// Within it.
    pub inside: &'static str,
}

impl Rules {
    pub fn none() -> Self {
        Self { maps: String::new(), before: String::new(), place: "/", inside: "" }
    }

    /// As a site with many apps has them: prefixes, some expressions, and the request's own location
    /// found last. Both maps, with expressions, are read for every request.
    pub fn many() -> Self {
        let mut before = String::new();
        for number in 1..=40 {
            let _ =
                writeln!(before, "        location /app{number}/ {{ proxy_pass http://app/; }}");
        }
        for number in 1..=9 {
            let _ =
                writeln!(before, "        location ~ ^/old{number}/.*\\.html$ {{ return 410; }}");
        }
        let maps = "    map $http_user_agent $device { default desk; ~*mobile phone; ~*bot robot; }
    map $uri $part { default other; /bytes/5 five; ~^/bytes/ bytes; }
";
        Self {
            maps: maps.to_owned(),
            before,
            place: "~ ^/bytes/[0-9]+$",
            inside: "            rewrite ^/bytes/(.*)$ /bytes/$1 break;
            proxy_set_header X-Device $device;
            proxy_set_header X-Part $part;
",
        }
    }
}
