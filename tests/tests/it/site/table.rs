//! The configuration of the site, and what is asked of it.

use super::{Pair, request};

pub(super) const SITE: &str = r#"
    types {
        text/html html htm;
        text/css css;
        application/javascript js;
    }
    server {
        default_type application/octet-stream;
        listen 127.0.0.1:PORT;
        server_name app.test;
        access_log off;
        root ROOT/site/;
        error_page 404 /errors/404.html;
        error_page 500 502 503 504 /50x.html;
        add_header X-Site yes;

        location = /50x.html { root ROOT/pages; }
        location /errors/ { internal; }
        location / { try_files $uri $uri/ @app; }
        location @app { proxy_pass http://APP; }
        location /app/ { proxy_pass http://APP; }

        location /plain/ { }
        location /quiet/ { alias ROOT/site/plain/; log_not_found off; error_page 404 =404 @none; }
        location @none { return 404; }
        location /root/ { root ROOT/site/plain; rewrite ^/root(/.*)$ $1 break; }
        location /alias/ {
            alias ROOT/other/;
            index start.html index.html;
            location /alias/deep/ { add_header X-Deep "$request_filename"; }
            location /alias/deeper/ { alias ROOT/deeper/; }
        }
        location /noslash { alias ROOT/other; }
        location = /exact { alias ROOT/other/x; }
        location /rewritten/ { alias ROOT/other/; rewrite ^/rewritten/(.*)$ /alias/$1 break; }
        location ~ ^/user/(\w+)/(.*)$ { alias ROOT/users/$1/public/$2; }
        location ~ ^/tried/(\w+)/ { alias ROOT/users/$1/public/; try_files a.txt =404; }
        location /by/host/ { alias ROOT/$arg_d/; }

        location /spa/ { try_files $uri $uri/index.html /spa/index.html; }
        location /fixed/ { try_files /fixed/none /fixed/there.txt =404; }
        location /gone/ { try_files $uri =410; }
        location /try/ { try_files $uri/ $uri =404; }
        location /tryslash/ { alias ROOT/site/plain/; try_files $uri/ =404; }
        location /tryalias/ { alias ROOT/other/; try_files $uri $uri/ /alias/x?y=$args; }
        location /trycode/ { try_files $uri =418; error_page 418 = @app; }

        location /down/ { proxy_pass http://127.0.0.1:1/; }
        location /down200/ { proxy_pass http://127.0.0.1:1/; error_page 502 =200 /50x.html; }
        location /downown/ { proxy_pass http://127.0.0.1:1/; error_page 502 = /50x.html; }
        location /downnone/ { proxy_pass http://127.0.0.1:1/; error_page 502 /errors/none.html; }
        location /downapp/ { proxy_pass http://127.0.0.1:1; error_page 502 = @app; }
        location /downfile/ { proxy_pass http://127.0.0.1:1; error_page 502 /plain/a.txt; }
        location /downdir/ { proxy_pass http://127.0.0.1:1; error_page 502 /plain/; }
        location /caught/ { proxy_pass http://FAIL; proxy_intercept_errors on; }
        location /caught204/ {
            proxy_pass http://FAIL; proxy_intercept_errors on; error_page 404 =204 /50x.html;
        }
        location /passed/ { proxy_pass http://FAIL; }

        location /if/ {
            if (-f $request_filename) { add_header X-There file; }
            if (!-e $request_filename) { return 410 "gone\n"; }
        }
        location /vars/ {
            add_header X-File "$request_filename" always;
            add_header X-Root "$document_root $realpath_root $uri" always;
            add_header Got-Type $sent_http_content_type;
        }
        location /types/ { types { text/x-other html HTM; } default_type text/x-default; }
        location /notypes/ { types { } default_type ''; }
        location /etag/ { etag off; if_modified_since before; max_ranges 0; }
        location /etag/a { etag off; if_modified_since off; max_ranges 1; }
        location /charset/ {
            alias ROOT/site/plain/; charset utf-8;
            types { text/plain txt; text/css css; image/x JS; }
            location ~ all$ { charset_types *; proxy_pass http://FAIL; }
            location /charset/app { proxy_pass http://APP; }
            location /charset/said { add_header X-Type "$sent_http_content_type"; proxy_pass http://APP; }
            location ~ css$ { add_header X-Type "$sent_http_content_type"; charset_types text/css; }
            location /charset/moved { error_page 404 =302 /charset/a.txt; return 404; }
            if ($arg_c) { charset koi8-r; }
        }
        location /untagged/ {
            alias ROOT/site/plain/; add_header ETag ""; add_header Last-Modified "";
        }
        location /tagged/ {
            alias ROOT/site/plain/; add_header ETag '"own"';
            add_header Last-Modified "Sun, 06 Nov 1994 08:49:37 GMT";
        }
        location /relative/ { absolute_redirect off; }
        location /named/ { server_name_in_redirect on; port_in_redirect off; }
        location /idx/ { index given.$arg_e second.html /plain/a.txt; }
        location /idx/two/ { index none.html; }
        location /cycle/ { error_page 404 /cycle/none; recursive_error_pages on; }
        location /range/ { alias ROOT/site/plain/; error_page 416 /50x.html; error_page 412 =404 @none; }
        location /limited/ { client_max_body_size 4; error_page 413 /50x.html; }
    }
"#;

pub(super) const TARGETS: &[&str] = &[
    "/",
    "/?a=b",
    "/about.html",
    "/about.html?x",
    "/about",
    "/nothing/at/all?a=b",
    "/css/site.css",
    "/css/../about.html",
    "//about.html",
    "/css",
    "/dir",
    "/dir?a=b",
    "/dir/",
    "/errors/404.html",
    "/50x.html",
    "/plain/",
    "/plain",
    "/plain/a.txt",
    "/plain/a%2etxt",
    "/plain/a.txt/",
    "/plain/a.txt/x",
    "/plain/page",
    "/plain/x.JS",
    "/plain/zero",
    "/plain/binary.bin",
    "/plain/sub",
    "/plain/sub?a=b&c",
    "/plain/sub/",
    "/plain/none",
    "/plain/none/",
    "/plain/empty",
    "/plain/empty/",
    "/plain/index-dir/",
    "/plain/sp%20ace",
    "/plain/sp%20ace/caf%c3%a9%20&%20co.html",
    "/plain/plus+%2541%3f.txt",
    "/plain/plus+%41?.txt",
    "/plain/link.txt",
    "/plain/css",
    "/plain/css/site.css",
    "/plain/loop",
    "/plain/dangling",
    "/plain/closed",
    "/plain/%ff",
    "/quiet/none",
    "/quiet/a.txt",
    "/root/a.txt",
    "/root/sub",
    "/alias/",
    "/alias",
    "/alias/x",
    "/alias/sub",
    "/alias/sub/",
    "/alias/none",
    "/alias/deep/y",
    "/alias/deep/none",
    "/alias/deeper/z",
    "/noslash",
    "/noslash/",
    "/noslash/x",
    "/noslashed",
    "/exact",
    "/exact/",
    "/rewritten/x",
    "/user/ann/a.txt",
    "/user/ann/",
    "/user/bob/a.txt",
    "/tried/ann/",
    "/tried/bob/",
    "/by/host/x?d=other",
    "/by/host/sub?d=other",
    "/by/host/x?d=none",
    "/spa/",
    "/spa/app.js",
    "/spa/some/route",
    "/spa/sub",
    "/fixed/x",
    "/gone/x",
    "/try/a.txt",
    "/try/dir",
    "/try/dir/",
    "/try/none",
    "/tryslash/a.txt",
    "/tryslash/sub",
    "/tryslash/none",
    "/tryalias/x",
    "/tryalias/sub",
    "/tryalias/none?b",
    "/trycode/x?y",
    "/app/x",
    "/down/",
    "/down200/",
    "/downown/",
    "/downnone/",
    "/downapp/x?y",
    "/downfile/",
    "/downdir/",
    "/caught/",
    "/caught204/",
    "/passed/",
    "/if/a.txt",
    "/if/none",
    "/vars/a.html",
    "/vars/sub",
    "/vars/sub/",
    "/vars/none",
    "/types/a.html",
    "/types/a.css",
    "/notypes/a.html",
    "/etag/a.txt",
    "/charset/a.txt",
    "/charset/a.txt?c=1",
    "/charset/x.JS",
    "/charset/css/site.css",
    "/charset/none",
    "/charset/all",
    "/charset/app",
    "/charset/moved",
    "/charset/said",
    "/untagged/a.txt",
    "/untagged/none",
    "/tagged/a.txt",
    "/tagged/none",
    "/relative/sub",
    "/relative/sub?a",
    "/named/sub",
    "/idx/one/",
    "/idx/two/",
    "/idx/three/?e=html",
    "/idx/three/?e=htm",
    "/cycle/x",
    "/range/a.txt",
    "/range/none",
    "/limited/a.txt",
];

/// Files that are asked for with conditions of all kinds.
pub(super) const CONDITIONAL: &[&str] =
    &["/plain/a.txt", "/etag/a.txt", "/range/a.txt", "/vars/a.html", "/down/", "/plain/zero"];

/// Fields of requests for a target, with its own validators among them.
pub(super) fn fields_for(pair: &Pair, target: &str) -> Vec<String> {
    let [_, theirs] = pair.both(&request("GET", target, ""));
    let field = |name: &str| {
        let value = theirs.fields.iter().find_map(|line| line.strip_prefix(name));
        value.unwrap_or("\"none\"").to_owned()
    };
    let (etag, modified) = (field("ETag: "), field("Last-Modified: "));
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let mut all = Vec::new();
    for value in [&*etag, &format!("W/{etag}"), "*", "\"x\"", &format!("\"x\", {etag}"), ""] {
        for name in ["If-None-Match", "If-Match"] {
            all.push(format!("{name}: {value}\r\n"));
            all.push(format!("{name}: {value}\r\nIf-Modified-Since: {modified}\r\n"));
            all.push(format!("{name}: {value}\r\nRange: bytes=0-1\r\n"));
        }
        all.push(format!("If-Range: {value}\r\nRange: bytes=0-1\r\n"));
    }
    for date in [&*modified, old, "x"] {
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            all.push(format!("{name}: {date}\r\n"));
        }
        all.push(format!("If-Range: {date}\r\nRange: bytes=2-\r\n"));
    }
    for range in ["0-", "-5", "3-3", "0-0,2-3", "5-2", "999-", "0-99999", "x", "0-1,999-", "-0"] {
        all.push(format!("Range: bytes={range}\r\n"));
    }
    all
}
