"use strict";
const element = (id) => document.getElementById(id);
const sheet = element("sheet"), canvas = element("canvas"), pen = canvas.getContext("2d", { willReadFrequently: true });
const WIDTH_PIXELS = 46, LIVE_MILLISECONDS = 150, MODEL_MILLISECONDS = 5000;

// The ten bars.
const bars = Array.from({ length: 10 }, (_, digit) => {
  const item = document.createElement("li");
  const make = (name, text = "") => Object.assign(document.createElement("span"), { className: name, textContent: text });
  const track = document.createElement("div"), fill = document.createElement("div"), part = make("part", "\u2013");
  track.className = "track";
  fill.className = "fill";
  track.append(fill);
  item.append(make("name", digit), track, part);
  element("bars").append(item);
  return { item, fill, part };
});

function say(text, wrong = false) {
  element("message").textContent = text;
  element("message").classList.toggle("wrong", wrong);
}

function show(prediction) {
  element("digit").textContent = prediction ? prediction.digit : "\u2013";
  element("digit").classList.toggle("none", !prediction);
  bars.forEach(({ item, fill, part }, digit) => {
    const value = prediction ? prediction.probabilities[digit] : 0;
    fill.style.width = `${(100 * value).toFixed(1)}%`;
    part.textContent = prediction ? `${(100 * value).toFixed(1)} %` : "\u2013";
    item.classList.toggle("best", prediction !== null && digit === prediction.digit);
  });
  const pixels = prediction?.pixels;
  element("seen").classList.toggle("empty", !pixels);
  if (pixels) {
    const small = element("pixels").getContext("2d"), image = small.createImageData(28, 28);
    pixels.forEach((value, index) => image.data.set([value, value, value, 255], 4 * index));
    small.putImageData(image, 0, 0);
  }
}

function sure(prediction) {
  const part = prediction.probabilities[prediction.digit];
  return part > 0.9 ? "This is a" : part > 0.6 ? "Probably a" : "Perhaps a";
}

// Asks the server; a newer question makes the older one void.
let asking = null;
async function ask(file) {
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    const response = await fetch("predict", { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" }, signal: mine.signal });
    const answer = await response.json();
    if (mine !== asking) return;
    if (!response.ok) throw new Error(answer.error);
    show(answer);
    say(`${sure(answer)} ${answer.digit}.`);
  } catch (error) {
    if (mine !== asking || error.name === "AbortError") return;
    show(null);
    say(error instanceof TypeError ? "The server does not answer." : error.message, true);
  }
}

function askAboutDrawing() {
  // The sheet's colour is part of the picture: the server finds out what is ink.
  const picture = document.createElement("canvas");
  picture.width = picture.height = canvas.width / 2;
  const context = picture.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).backgroundColor;
  context.fillRect(0, 0, picture.width, picture.height);
  context.drawImage(canvas, 0, 0, picture.width, picture.height);
  picture.toBlob((blob) => ask(blob), "image/png");
}

function clear() {
  asking?.abort();
  asking = null;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  sheet.classList.remove("used");
  element("file").value = "";
  show(null);
  say("Nothing drawn yet.");
}

// Drawing.
let last = null, isOfFile = false, live = 0;
const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * canvas.width) / box.width, y: ((event.clientY - box.top) * canvas.height) / box.height };
};
function stroke(from, to) {
  pen.strokeStyle = getComputedStyle(canvas).color;
  pen.lineWidth = WIDTH_PIXELS;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
}
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  if (isOfFile) clear();
  isOfFile = false;
  canvas.setPointerCapture(event.pointerId);
  sheet.classList.add("used");
  last = place(event);
  stroke(last, last);
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  for (const step of event.getCoalescedEvents?.() ?? [event]) {
    const next = place(step);
    stroke(last, next);
    last = next;
  }
  if (!live) live = setTimeout(() => { live = 0; if (last) askAboutDrawing(); }, LIVE_MILLISECONDS);
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (!last) return;
    last = null;
    askAboutDrawing();
  });
}
element("clear").addEventListener("click", () => { isOfFile = false; clear(); });

// Files: chosen, dropped or pasted.
async function take(file) {
  if (!file) return;
  clear();
  isOfFile = true;
  say("Reading the image\u2026");
  sheet.classList.add("used");
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    pen.imageSmoothingEnabled = scale < 4;
    pen.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  } catch {
    // The server says what is wrong with it.
  }
  await ask(file);
}
element("file").addEventListener("change", (event) => take(event.target.files[0]));
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  window.addEventListener(name, (event) => {
    event.preventDefault();
    sheet.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}
window.addEventListener("paste", (event) => take(event.clipboardData?.files[0]));

// The model, which may come or change while the page is open.
async function describeModel() {
  const line = element("model");
  let text = "The server does not answer.";
  try {
    const response = await fetch("model");
    const answer = await response.json();
    if (response.ok) {
      const { dataset, test_accuracy, test_images, train_images, train_seconds } = answer.metrics;
      const count = (number) => number.toLocaleString("en");
      text = `Recognised ${(100 * test_accuracy).toFixed(1)} % of ${count(test_images)} ${dataset} test images. ` +
        `Learned from ${count(train_images)} in ${train_seconds.toFixed(1)} s. Model ${answer.version}.`;
    } else {
      text = `There is no model yet: ${answer.error}.`;
    }
  } catch { /* the text says so */ }
  if (line.textContent !== text) line.textContent = text;
}
show(null);
describeModel();
setInterval(describeModel, MODEL_MILLISECONDS);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (!isOfFile) clear(); });
