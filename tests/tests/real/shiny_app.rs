//! What people do with a Shiny app: move a slider, look at a plot, upload, download.

use std::fs;

use serde_json::json;
use sheen_tests::sheen::NAME;

use crate::parts::{self, Part, checksum};
use crate::scene::Scene;
use crate::shiny::DOWNLOAD_MB;

const MB: usize = 1 << 20;

#[test]
fn the_output_follows_the_slider_over_a_secure_websocket() {
    let Some(scene) = Scene::open() else { return };
    let session = scene.page.session();
    let url = scene.page.browser.script("return Shiny.shinyapp.$socket.url");
    let wss = format!("wss://{NAME}:{}/websocket/", scene.sheen.https().port());
    assert_eq!(url, json!(wss));
    for bins in [41, 12, 50, 1] {
        scene.page.slide_to(bins);
    }
    scene.page.lives_on(&session);
    scene.page.browser.screenshot("slider.png");
}

#[test]
fn a_plot_renders() {
    let Some(scene) = Scene::open() else { return };
    scene.page.browser.wait_for("document.querySelector('#plot img')?.naturalWidth > 0");
    let plot = "document.querySelector('#plot img')";
    let wide = scene.page.browser.script(&format!("return {plot}.naturalWidth"));
    scene.page.slide_to(8);
    scene.page.browser.wait_for(&format!("{plot}?.naturalWidth === {wide}"));
    // R drew bars: pixels of their colour are there.
    let blue = scene.page.browser.promise(
        "const image = document.querySelector('#plot img'); await image.decode();
         const canvas = document.createElement('canvas');
         canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
         const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
         const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
         let count = 0;
         for (let at = 0; at < pixels.length; at += 4)
             if (pixels[at] === 0x2f && pixels[at + 1] === 0x6f && pixels[at + 2] === 0xb0) count++;
         return count;",
    );
    assert!(blue.as_u64().is_some_and(|count| count > 1000), "blue pixels: {blue}");
    scene.page.browser.screenshot("plot.png");
}

#[test]
fn an_upload_of_20_mb_arrives_whole() {
    let Some(scene) = Scene::open() else { return };
    let session = scene.page.session();
    let path = scene.app.dir().join("upload.bin");
    fs::write(&path, sheen_tests::pattern(0, 20 * MB + 7)).unwrap();
    scene.page.browser.find("#upload").type_keys(path.to_str().unwrap());
    let expected = format!("{} {}", 20 * MB + 7, checksum("md5sum", &path));
    scene
        .page
        .browser
        .wait_for(&format!("document.querySelector('#uploaded').textContent === '{expected}'"));
    scene.page.lives_on(&session);
    scene.page.browser.screenshot("upload.png");
}

#[test]
fn a_download_of_100_mb_arrives_whole_in_the_page_and_in_curl() {
    let Some(scene) = Scene::open() else { return };
    if !parts::present(&[Part::Curl]) {
        return;
    }
    let session = scene.page.session();
    scene.page.browser.wait_for("document.querySelector('#download').href.includes('/session/')");
    let expected = scene.app.dir().join("expected.bin");
    fs::write(&expected, sheen_tests::pattern(0, DOWNLOAD_MB * MB)).unwrap();

    let seen = scene.page.browser.promise(
        "const answer = await fetch(document.querySelector('#download').href);
         const bytes = await answer.arrayBuffer();
         const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
         const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
         return [answer.status, bytes.byteLength, hex];",
    );
    assert_eq!(seen, json!([200, DOWNLOAD_MB * MB, checksum("sha256sum", &expected)]));
    scene.page.lives_on(&session);

    let link = scene.page.browser.find("#download").property("href");
    let received = scene.app.dir().join("received.bin");
    let curl = crate::curl::Curl::to(&scene.sheen);
    let written = curl.run(&[
        "--output",
        received.to_str().unwrap(),
        "--write-out",
        "%{http_code} %{num_connects}",
        link.as_str().unwrap(),
    ]);
    assert_eq!(written.good(), "200 1");
    let received = fs::read(received).unwrap();
    assert_eq!(received.len(), DOWNLOAD_MB * MB);
    assert!(sheen_tests::is_pattern(0, &received), "the bytes differ");
    scene.page.lives_on(&session);
    scene.page.browser.screenshot("download.png");
}
