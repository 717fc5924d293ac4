// Draws the paintings of the map by WebGL: from far as points of colour, all in one call; from near as their pictures,
// those of the sheets in view (sheets.js), which are kept in the layers of one texture. A picture has four vertices of its
// own: twenty thousand instances of one square would take seconds where WebGL is reckoned on the CPU.

import { ON_A_SHEET, Sheets } from "./sheets.js";
import {
  createBufferInfoFromArrays,
  createProgramInfo,
  createVertexArrayInfo,
  drawBufferInfo,
  setAttribInfoBufferFromArray,
  setUniforms,
} from "./vendor/twgl.js";

const ROW = 8; // cells in a row of a sheet
const LAYER = 2048; // px of a layer
const LEVELS = 3; // sizes of a picture: whole, half, a quarter
const CORNERS = 4; // of a painting
const SQUARE = [0, 1, 2, 2, 1, 3]; // the two triangles of them
const BYTES = 4; // of the number of a corner
const LISTED = 64; // slots in a row of the texture that lists them
// How a painting is shown: the fourth byte of its colour.
export const DIM = 0;
export const USUAL = 127;
export const LIT = 255;

const VERTEX = `#version 300 es
precision highp float;
in vec2 place;
in vec4 colour;
uniform vec2 middle, halfScreen;
uniform float unit, size;
uniform int hovered, marked;
flat out vec4 shade;
flat out float side, framed;
vec4 placed(int number, vec2 corner) {
  bool isChosen = number == hovered || number == marked;
  side = isChosen ? max(1.3 * size, 20.0) : size;
  framed = isChosen || colour.a > 0.75 ? 1.0 : 0.0;
  shade = colour;
  vec2 px = (place - middle) * unit + corner * side;
  return vec4(px.x / halfScreen.x, -px.y / halfScreen.y, isChosen ? -0.9 : 0.5 - 0.8 * colour.a, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler2DArray;
flat in vec4 shade;
flat in float side, framed;
uniform vec3 paper, accent;
uniform float point, thick;
out vec4 painted;
// At most so far from the middle, in px; as a picture or not.
void paint(float edge, bool isPicture, vec3 seen) {
  bool isFrame = framed > 0.0 && edge > side / 2.0 - thick;
  if (!isFrame && !isPicture && edge > point / 2.0) discard;
  painted = vec4(mix(paper, isFrame ? accent : seen, shade.a < 0.25 ? 0.16 : 1.0), 1.0);
}`;

// As a point each.
const FAR = [
  `${VERTEX}
uniform float point;
void main() {
  gl_Position = placed(gl_VertexID, vec2(0.0));
  gl_PointSize = framed > 0.0 ? side : point;
}`,
  `${FRAGMENT}
void main() {
  vec2 within = abs(gl_PointCoord - 0.5);
  paint(max(within.x, within.y) * (framed > 0.0 ? side : point), false, shade.rgb);
}`,
];

// As a picture each, or a point where that is not there. origin: where in the texture it is; cell: its side there.
const NEAR = [
  `${VERTEX}
precision highp isampler2D;
uniform isampler2D slots;
uniform float cell;
out vec2 at;
flat out vec3 origin;
flat out float isThere;
void main() {
  int number = gl_VertexID / ${CORNERS}, sheet = number / ${ON_A_SHEET}, inSheet = number % ${ON_A_SHEET};
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1 & 1) - 0.5;
  gl_Position = placed(number, at);
  int slot = texelFetch(slots, ivec2(sheet % ${LISTED}, sheet / ${LISTED}), 0).r;
  int across = ${LAYER} / (${ROW} * int(cell)), inLayer = slot % (across * across);
  ivec2 column = ${ROW} * ivec2(inLayer % across, inLayer / across) + ivec2(inSheet % ${ROW}, inSheet / ${ROW});
  origin = vec3(vec2(column) * cell, float(slot / (across * across)));
  isThere = slot < 0 ? 0.0 : 1.0;
}`,
  `${FRAGMENT}
in vec2 at;
flat in vec3 origin;
flat in float isThere;
uniform sampler2DArray sheets;
uniform float cell, near;
void main() {
  vec2 px = origin.xy + clamp((at + 0.5) * cell, 0.5, cell - 0.5);
  vec4 found = texture(sheets, vec3(px / ${LAYER}.0, origin.z)) * isThere;
  bool isPicture = found.a > 0.5;
  paint(max(abs(at.x), abs(at.y)) * side, isPicture, isPicture ? mix(shade.rgb, found.rgb / found.a, near) : shade.rgb);
}`,
];

export class Drawing {
  // found: the map as the service gives it. Throws where the browser has no WebGL 2.
  constructor(canvas, found) {
    const gl = canvas.getContext("webgl2", { antialias: false });
    if (!gl)
      throw new Error("This browser has no WebGL 2, which the map needs. The collection lists the same paintings.");
    // On a phone pictures of half the size do, and a quarter of the memory.
    Object.assign(this, {
      canvas,
      gl,
      found,
      count: found.ids.length,
      cell: matchMedia("(pointer: coarse)").matches ? found.cell / 2 : found.cell,
    });
    this.sheets = new Sheets(found);
    this.colours = new Uint32Array(CORNERS * this.count);
    this.buffers = createBufferInfoFromArrays(gl, {
      place: { numComponents: 2, data: this.places() },
      colour: { numComponents: 4, data: new Uint8Array(this.colours.buffer) },
      indices: { numComponents: 3, data: this.indices() },
    });
    this.near = this.drawnBy(NEAR, this.buffers);
    // The same buffers, of which a point takes a painting's first corner.
    const {
      place: { buffer: places },
      colour: { buffer: colours },
    } = this.buffers.attribs;
    this.far = this.drawnBy(
      FAR,
      createBufferInfoFromArrays(gl, {
        place: { buffer: places, numComponents: 2, type: gl.FLOAT, stride: 8 * CORNERS, numElements: this.count },
        colour: { buffer: colours, numComponents: 4, type: gl.UNSIGNED_BYTE, normalize: true, stride: 4 * CORNERS },
      }),
    );
    this.textures();
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
  }

  drawnBy(shaders, buffers) {
    const program = createProgramInfo(this.gl, shaders);
    return { program, vertices: createVertexArrayInfo(this.gl, program, buffers) };
  }

  places() {
    const { x, y } = this.found,
      places = new Float32Array(2 * CORNERS * this.count);
    for (let at = 0; at < places.length; at += 2) {
      const painting = Math.floor(at / (2 * CORNERS));
      places[at] = x[painting];
      places[at + 1] = y[painting];
    }
    return places;
  }

  // The corners of each painting's triangles.
  indices() {
    const indices = new Uint32Array(SQUARE.length * this.count);
    for (let at = 0; at < indices.length; at += 1)
      indices[at] = CORNERS * Math.floor(at / SQUARE.length) + SQUARE[at % SQUARE.length];
    return indices;
  }

  // Two textures: the pictures, and where those of each sheet are.
  textures() {
    const { gl, sheets } = this,
      side = this.cell ? LAYER : 4;
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, (this.pictures = gl.createTexture()));
    gl.texStorage3D(
      gl.TEXTURE_2D_ARRAY,
      this.cell ? LEVELS : 1,
      gl.RGBA8,
      side,
      side,
      Math.max(1, Math.ceil(sheets.heldBy.length / this.across ** 2)),
    );
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    this.listed = new Int16Array(LISTED * Math.max(1, Math.ceil(sheets.slotOf.length / LISTED)));
    gl.bindTexture(gl.TEXTURE_2D, (this.slots = gl.createTexture()));
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R16I, LISTED, this.listed.length / LISTED);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  // Sheets in a row of a layer.
  get across() {
    return LAYER / (ROW * (this.cell || LAYER / ROW));
  }

  // colour(i): red, green and blue as a number, red its lowest byte; state(i): DIM, USUAL or LIT.
  colour(colour, state) {
    for (let i = 0; i < this.count; i += 1)
      this.colours.fill(colour(i) + state(i) * 2 ** 24, CORNERS * i, CORNERS * (i + 1));
    setAttribInfoBufferFromArray(this.gl, this.buffers.attribs.colour, new Uint8Array(this.colours.buffer));
  }

  // Let the pictures come; drawn() is called whenever some are there, outdated() where the index is another one by now.
  load(signal, drawn, outdated) {
    this.sheets.start(signal, { put: (blob, slot) => this.put(blob, slot), drawn, outdated });
  }

  // A sheet into its slot: whole, and of each level half of the level before.
  async put(blob, slot) {
    let source = blob;
    for (let level = 0; level < LEVELS; level += 1) {
      const bitmap = await createImageBitmap(source, {
        premultiplyAlpha: "premultiply",
        resizeWidth: (ROW * this.cell) >> level,
        resizeHeight: (ROW * this.cell) >> level,
        resizeQuality: "high",
      });
      if (level) source.close();
      this.putLevel(bitmap, slot, level);
      source = bitmap;
    }
    source.close();
  }

  putLevel(bitmap, slot, level) {
    const { gl, across } = this,
      { width: side } = bitmap,
      inLayer = slot % across ** 2;
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.pictures);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    gl.texSubImage3D(
      gl.TEXTURE_2D_ARRAY,
      level,
      (inLayer % across) * side,
      Math.floor(inLayer / across) * side,
      Math.floor(slot / across ** 2),
      side,
      side,
      1,
      gl.RGBA,
      gl.UNSIGNED_BYTE,
      bitmap,
    );
  }

  putSlots() {
    const { gl, sheets, listed } = this;
    sheets.isChanged = false;
    listed.set(sheets.slotOf);
    gl.bindTexture(gl.TEXTURE_2D, this.slots);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 2);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, LISTED, listed.length / LISTED, gl.RED_INTEGER, gl.SHORT, listed);
  }

  // Sizes in px of the screen: unit, how long the map's side is; size, of a picture; point, of a point of colour.
  // fineness: pixels that are drawn for one of the screen, 1 at most.
  draw({ middle, unit, size, point, near, hovered, marked, paper, accent, fineness }) {
    const { gl, canvas } = this,
      ratio = fineness * Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * ratio),
      height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    if (this.sheets.isChanged) this.putSlots();
    gl.viewport(0, 0, width, height);
    gl.clearColor(...paper.map((part) => part / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const { program, vertices } = near ? this.near : this.far;
    gl.useProgram(program.program);
    gl.bindVertexArray(vertices.vertexArrayObject);
    setUniforms(program, {
      middle,
      halfScreen: [width / 2, height / 2],
      unit: unit * ratio,
      size: size * ratio,
      point: point * ratio,
      near,
      cell: this.cell || 4,
      thick: 2 * ratio,
      hovered,
      marked,
      sheets: this.pictures,
      slots: this.slots,
      paper: paper.map((part) => part / 255),
      accent: accent.map((part) => part / 255),
    });
    const [across, down] = [canvas.clientWidth, canvas.clientHeight].map((side) => (side / 2 + 2 * size) / unit),
      [x, y] = middle;
    if (near) this.drawSheets(vertices, this.sheets.look([x - across, y - down, x + across, y + down]));
    else drawBufferInfo(gl, vertices, gl.POINTS, this.count);
  }

  // Sheets, in their order: those that follow each other in one call.
  drawSheets(vertices, sheets) {
    let first;
    sheets.forEach((sheet, number) => {
      if (sheets[number - 1] !== sheet - 1) first = sheet * ON_A_SHEET;
      if (sheets[number + 1] === sheet + 1) return;
      const end = Math.min((sheet + 1) * ON_A_SHEET, this.count),
        corners = SQUARE.length * (end - first);
      drawBufferInfo(this.gl, vertices, this.gl.TRIANGLES, corners, BYTES * SQUARE.length * first);
    });
  }
}
