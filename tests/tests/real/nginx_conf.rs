//! Shiny in a browser, with the nginx.conf that people have: where the tutorial ends, and below a
//! prefix.

use std::fs;

use serde_json::json;
use sheen_tests::sheen::NAME;

use crate::parts::checksum;
use crate::scene::Scene;

#[test]
fn shiny_works_at_the_root_as_the_tutorial_has_it() {
    let conf = include_str!("../nginx/published/tutorial.conf");
    let Some(scene) = Scene::by_nginx_conf(conf, "/") else { return };
    let wss = format!("wss://{NAME}:{}/websocket/", scene.sheen.https().port());
    assert_eq!(scene.page.browser.script("return Shiny.shinyapp.$socket.url"), json!(wss));
    is_used(&scene, "nginx-conf-root.png");
}

#[test]
fn shiny_works_below_a_prefix() {
    let conf = include_str!("../nginx/published/shiny_prefix.conf");
    // The slash at the end is what the redirect adds.
    let Some(scene) = Scene::by_nginx_conf(conf, "/shiny") else { return };
    let url = format!("ws://{NAME}:{}/shiny/websocket/", scene.sheen.http().port());
    assert_eq!(scene.page.browser.script("return Shiny.shinyapp.$socket.url"), json!(url));
    is_used(&scene, "nginx-conf-prefix.png");
}

/// Moves the slider to and fro, sends a file up, and stays in the same session.
fn is_used(scene: &Scene, picture: &str) {
    let session = scene.page.session();
    for bins in [41, 12] {
        scene.page.slide_to(bins);
    }
    // Below the 1 MB that nginx and sheen let through unless told otherwise.
    let path = scene.app.dir().join("upload.bin");
    fs::write(&path, sheen_tests::pattern(0, 900_000)).unwrap();
    scene.page.browser.find("#upload").type_keys(path.to_str().unwrap());
    let expected = format!("900000 {}", checksum("md5sum", &path));
    scene
        .page
        .browser
        .wait_for(&format!("document.querySelector('#uploaded').textContent === '{expected}'"));
    scene.page.lives_on(&session);
    scene.page.browser.screenshot(picture);
}
