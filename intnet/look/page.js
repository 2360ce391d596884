"use strict";
for (const viewer of document.querySelectorAll(".viewer")) {
  const find = (selector) => viewer.querySelector(selector);
  const frame = find(".frame"), stage = find(".stage"), slide = find("input");
  const left = find(".left"), right = find(".right"), zoom = find(".zoom");
  const images = [...stage.querySelectorAll("img")];

  // The divider is a share of what is in sight, so that it stays there when a picture is panned.
  const sight = () => Math.min(frame.clientWidth, stage.clientWidth);
  function place() {
    const x = frame.scrollLeft + sight() * slide.value / 100;
    stage.style.setProperty("--x", x + "px");
    slide.setAttribute("aria-valuetext",
      slide.value + " % " + left.value + ", the rest " + right.value);
  }
  function show() {
    for (const image of images) {
      const name = image.dataset.name;
      image.hidden = name !== left.value && name !== right.value;
      image.classList.toggle("over", name === right.value && name !== left.value);
    }
    for (const select of [left, right]) {
      const image = images.find((image) => image.dataset.name === select.value);
      find(select === left ? ".on-left" : ".on-right").textContent =
        (select === left ? "Left: " : "Right: ") + image.dataset.caption;
    }
    place();
  }
  function magnify() {
    const middle = (frame.scrollLeft + frame.clientWidth / 2) / stage.clientWidth;
    const height = (frame.scrollTop + frame.clientHeight / 2) / stage.clientHeight;
    frame.classList.toggle("zoomed", zoom.value !== "fit");
    stage.style.setProperty("--zoom", zoom.value);
    frame.scrollLeft = middle * stage.clientWidth - frame.clientWidth / 2;
    frame.scrollTop = height * stage.clientHeight - frame.clientHeight / 2;
    place();
  }
  // A finger pans what is zoomed, and moves the divider of what is not; a mouse always moves it.
  function drag(event) {
    const pans = event.pointerType !== "mouse" && zoom.value !== "fit";
    if (!(event.buttons & 1) || pans) return;
    const begin = stage.getBoundingClientRect().left + frame.scrollLeft;
    slide.value = 100 * (event.clientX - begin) / sight();
    place();
  }
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  slide.addEventListener("input", place);
  frame.addEventListener("scroll", place);
  window.addEventListener("resize", place);
  zoom.addEventListener("change", magnify);
  for (const select of [left, right]) select.addEventListener("change", show);
  magnify();
  show();
}
