//! Server names to sites, paths to apps, and requests that came to the wrong site.

use sheen_tests::client::{Client, Offer};
use sheen_tests::sheen::{NAME, Setup, Sheen, Site};
use sheen_tests::upstream::Upstream;

/// Sites `app.test`, `*.wild.test` and `other.test`, each with an app that says its name.
fn three_sites() -> (Vec<Upstream>, Sheen) {
    let apps: Vec<_> = ["first", "wild", "other"].into_iter().map(Upstream::ok).collect();
    let mut setup = Setup::to(&apps[0]);
    setup.sites.push(Site::new(&["*.wild.test"], apps[1].address()));
    setup.sites.push(Site::new(&["other.test"], apps[2].address()));
    (apps, setup.start())
}

#[test]
fn each_name_reaches_its_own_app() {
    let (_apps, sheen) = three_sites();
    for (name, expected) in [(NAME, "first"), ("a.wild.test", "wild"), ("other.test", "other")] {
        let mut client = Client::tls(sheen.https(), name);
        assert_eq!(client.get(name, "/").text(), expected);
        assert_eq!(client.get(&format!("{}:8443", name.to_uppercase()), "/").text(), expected);
    }
}

#[test]
fn a_name_nobody_has_reaches_the_first_site() {
    let (_apps, sheen) = three_sites();
    let trusting = Offer { trusting: true, ..Offer::default() }.config();
    let mut client = Client::tls_with(sheen.https(), "unknown.test", &trusting).unwrap();
    assert_eq!(client.get("unknown.test", "/").text(), "first");
}

#[test]
fn the_name_of_one_site_with_the_host_of_another_is_misdirected() {
    let (apps, sheen) = three_sites();
    for (name, host) in [(NAME, "other.test"), ("other.test", NAME), ("a.wild.test", "other.test")]
    {
        let mut client = Client::tls(sheen.https(), name);
        let before: usize = apps.iter().map(Upstream::connections).sum();
        assert_eq!(client.get(host, "/").status(), 421, "{name} {host}");
        assert_eq!(apps.iter().map(Upstream::connections).sum::<usize>(), before);
    }
}

#[test]
fn two_names_of_one_site_may_share_a_connection() {
    let app = Upstream::ok("ok");
    let mut setup = Setup::to(&app);
    setup.sites = vec![Site::new(&[NAME, "www.app.test", "*.sub.test"], app.address())];
    let sheen = setup.start();
    let mut client = sheen.client();
    for host in [NAME, "www.app.test", "x.sub.test"] {
        assert_eq!(client.get(host, "/").status(), 200, "{host}");
    }
}

#[test]
fn a_client_without_sni_is_served_by_its_host() {
    let (_apps, sheen) = three_sites();
    let offer = Offer { sni: false, trusting: true, ..Offer::default() }.config();
    let mut client = Client::tls_with(sheen.https(), NAME, &offer).unwrap();
    assert_eq!(client.get(NAME, "/").text(), "first");
}

/// Three apps under one name; each mirrors what it saw behind its own word.
fn three_locations() -> (Vec<Upstream>, Sheen) {
    let apps: Vec<_> = ["root", "deep", "stripped"]
        .into_iter()
        .map(|word| {
            Upstream::start(move |conn| {
                conn.answer_all(|request| {
                    let target = request.head.line.split(' ').nth(1).unwrap();
                    sheen_tests::upstream::ok(&format!("{word} {target}")).into_bytes()
                });
            })
        })
        .collect();
    let sheen = Setup::locations(format!(
        "[[site.location]]\nprefix = \"/\"\nto = {:?}\n\
         [[site.location]]\nprefix = \"/deep/er/\"\nto = {:?}\n\
         [[site.location]]\nprefix = \"/rstudio/\"\nstrip_prefix = true\nto = {:?}\n",
        apps[0].address(),
        apps[1].address(),
        apps[2].address()
    ))
    .start();
    (apps, sheen)
}

#[test]
fn the_longest_prefix_wins() {
    let (_apps, sheen) = three_locations();
    let mut client = sheen.client();
    for (target, expected) in [
        ("/", "root /"),
        ("/deep/", "root /deep/"),
        ("/deep/er/x?y=1", "deep /deep/er/x?y=1"),
        ("/rstudio/", "stripped /"),
        ("/rstudio/a/b?c=d", "stripped /a/b?c=d"),
        ("/rstudio/?x", "stripped /?x"),
        ("/RSTUDIO/x", "root /RSTUDIO/x"),
        ("/other?/rstudio/", "root /other?/rstudio/"),
    ] {
        assert_eq!(client.get(NAME, target).text(), expected);
    }
}

#[test]
fn a_prefix_without_its_slash_is_not_another_app() {
    let (_apps, sheen) = three_locations();
    let answer = sheen.client().get(NAME, "/rstudio");
    // nginx redirects to the prefix; passing it to the app at "/" is right as well.
    assert!([200, 301, 302, 307, 308].contains(&answer.status()), "{}", answer.head.raw);
    assert!(!answer.text().starts_with("stripped"), "{}", answer.text());
}

#[test]
fn a_path_in_disguise_is_no_way_around_a_prefix() {
    let (_apps, sheen) = three_locations();
    // Either the app of the prefix that was asked for sees it as sent, or the one of the path it
    // means.
    for target in
        ["/rstudio/../deep/er/x", "/deep/er/../../rstudio/x", "/x/%2e%2e/deep/er/x", "//deep/er/x"]
    {
        let answer = sheen.client().get(NAME, target);
        assert!([200, 400].contains(&answer.status()), "{target}: {}", answer.head.raw);
    }
}

#[test]
fn a_path_outside_every_prefix_is_a_404() {
    let app = Upstream::ok("ok");
    let sheen = Setup::locations(format!(
        "[[site.location]]\nprefix = \"/only/\"\nto = {:?}\n",
        app.address()
    ))
    .start();
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/only/x").status(), 200);
    assert_eq!(client.get(NAME, "/elsewhere").status(), 404);
    assert_eq!(app.received().matches("HTTP/1.1\r\n").count(), 1);
}
