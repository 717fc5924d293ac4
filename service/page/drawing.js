// Draws the paintings of the map by WebGL: from far as points of colour, all in one call; from near as their pictures,
// which come in sheets of 64 and are kept in the layers of one texture. A picture has four vertices of its own: twenty
// thousand instances of one square would take seconds where WebGL is reckoned on the CPU. They are drawn column by
// column of a coarse grid, of each what is on the screen.

import { blobOf } from "./api.js";
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
const AT_ONCE = 3; // sheets that are fetched
const AGAIN_MS = 2000; // until a sheet is asked for again
const SHOWN_MS = 300; // between two drawings while sheets come
const BUSY = new Set([429, 503]);
// How a painting is shown: the fourth byte of its colour.
const DIM = 0;
const USUAL = 127;
const LIT = 255;
const GRID = 64; // columns, and cells in each

// isFar: as points, a vertex each.
const vertexOf = (isFar) => `#version 300 es
precision highp float;
in vec2 place;
in vec4 colour;
uniform vec2 middle, halfScreen;
uniform float unit, size, point, cell;
uniform int hovered, marked;
out vec2 at;
flat out vec4 shade;
flat out vec3 origin;
flat out float side, framed;
void main() {
  int number = ${isFar ? "gl_VertexID" : `gl_VertexID / ${CORNERS}`};
  vec2 corner = ${isFar ? "vec2(0.0)" : "vec2(gl_VertexID & 1, gl_VertexID >> 1 & 1) - 0.5"};
  bool isChosen = number == hovered || number == marked;
  side = isChosen ? max(1.3 * size, 20.0) : size;
  framed = isChosen || colour.a > 0.75 ? 1.0 : 0.0;
  vec2 px = (place - middle) * unit + corner * side;
  ${isFar ? "gl_PointSize = framed > 0.0 ? side : point;" : ""}
  gl_Position = vec4(px.x / halfScreen.x, -px.y / halfScreen.y, isChosen ? -0.9 : 0.5 - 0.8 * colour.a, 1.0);
  int across = ${LAYER} / (${ROW} * int(cell)), sheet = number / ${ROW * ROW}, inLayer = sheet % (across * across);
  ivec2 column = ivec2((inLayer % across) * ${ROW} + number % ${ROW}, (inLayer / across) * ${ROW} + number % ${ROW * ROW} / ${ROW});
  origin = vec3(vec2(column) * cell, float(sheet / (across * across)));
  at = corner;
  shade = colour;
}`;

const fragmentOf = (isFar) => `#version 300 es
precision highp float;
precision highp sampler2DArray;
in vec2 at;
flat in vec4 shade;
flat in vec3 origin;
flat in float side, framed;
uniform sampler2DArray sheets;
uniform vec3 paper, accent;
uniform float cell, point, near, thick;
out vec4 painted;
void main() {
  vec2 within = ${isFar ? "gl_PointCoord - 0.5" : "at"};
  vec2 px = origin.xy + clamp((at + 0.5) * cell, 0.5, cell - 0.5);
  vec4 found = ${isFar ? "vec4(0.0)" : `texture(sheets, vec3(px / ${LAYER}.0, origin.z))`};
  float edge = max(abs(within.x), abs(within.y)) * (framed > 0.0 ? side : ${isFar ? "point" : "side"});
  bool isFrame = framed > 0.0 && edge > side / 2.0 - thick, isPicture = near > 0.0 && found.a > 0.5;
  if (!isFrame && !isPicture && edge > point / 2.0) discard;
  vec3 seen = isFrame ? accent : isPicture ? mix(shade.rgb, found.rgb / found.a, near) : shade.rgb;
  painted = vec4(mix(paper, seen, shade.a < 0.25 ? 0.16 : 1.0), 1.0);
}`;

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
    const place = new Float32Array(2 * CORNERS * this.count);
    for (let i = 0; i < this.count; i += 1) {
      for (let corner = 0; corner < CORNERS; corner += 1)
        place.set([found.x[i], found.y[i]], 2 * (CORNERS * i + corner));
    }
    this.colours = new Uint8Array(4 * CORNERS * this.count);
    this.buffers = createBufferInfoFromArrays(gl, {
      place: { numComponents: 2, data: place },
      colour: { numComponents: 4, data: this.colours },
      indices: { numComponents: 3, data: this.indices() },
    });
    this.near = this.drawnBy(false, this.buffers);
    // The same buffers, of which a point takes a painting's first corner.
    const {
      place: { buffer: places },
      colour: { buffer: colours },
    } = this.buffers.attribs;
    this.far = this.drawnBy(
      true,
      createBufferInfoFromArrays(gl, {
        place: { buffer: places, numComponents: 2, type: gl.FLOAT, stride: 8 * CORNERS, numElements: this.count },
        colour: { buffer: colours, numComponents: 4, type: gl.UNSIGNED_BYTE, normalize: true, stride: 4 * CORNERS },
      }),
    );
    this.texture();
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
  }

  drawnBy(isFar, buffers) {
    const program = createProgramInfo(this.gl, [vertexOf(isFar), fragmentOf(isFar)]);
    return { program, vertices: createVertexArrayInfo(this.gl, program, buffers) };
  }

  // Corners of the paintings' triangles, cell by cell of the grid; and in `starts` where each cell begins among the
  // paintings.
  indices() {
    const { x, y } = this.found,
      part = (value) => Math.min(Math.max(Math.floor(value * GRID), 0), GRID - 1);
    const cells = Uint16Array.from(x, (_, i) => part(x[i]) * GRID + part(y[i]));
    const order = Uint32Array.from(cells.keys()).sort((a, b) => cells[a] - cells[b]);
    this.starts = new Uint32Array(GRID * GRID + 1);
    for (const cell of cells) this.starts[cell + 1] += 1;
    for (let cell = 0; cell < GRID * GRID; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const indices = new Uint32Array(SQUARE.length * this.count);
    order.forEach((painting, number) =>
      SQUARE.forEach((corner, place) => {
        indices[SQUARE.length * number + place] = CORNERS * painting + corner;
      }),
    );
    return indices;
  }

  texture() {
    const { gl } = this,
      cells = this.cell ? (LAYER / this.cell) ** 2 : Infinity,
      side = this.cell ? LAYER : 4;
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, (this.sheets = gl.createTexture()));
    gl.texStorage3D(
      gl.TEXTURE_2D_ARRAY,
      this.cell ? LEVELS : 1,
      gl.RGBA8,
      side,
      side,
      Math.max(1, Math.ceil(this.count / cells)),
    );
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  }

  // colour(i): [red, green, blue] of 255; state(i): 0 dim, 1 usual, 2 lit.
  colour(colour, state) {
    for (let i = 0; i < this.count; i += 1) {
      const [red, green, blue] = colour(i),
        shown = [DIM, USUAL, LIT][state(i)];
      for (let corner = 0; corner < CORNERS; corner += 1)
        this.colours.set([red, green, blue, shown], 4 * (CORNERS * i + corner));
    }
    setAttribInfoBufferFromArray(this.gl, this.buffers.attribs.colour, this.colours);
  }

  // Fetch the pictures; drawn() is called whenever some are there.
  async load(signal, drawn) {
    const sheets = this.cell ? Math.ceil(this.count / (ROW * ROW)) : 0;
    let next = 0,
      last = 0;
    const some = async () => {
      while (next < sheets && !signal.aborted) {
        const number = next;
        next += 1;
        await this.sheet(number, signal).catch((error) => error.name === "AbortError" || console.debug(error.message));
        if (performance.now() - last < SHOWN_MS && next < sheets) continue;
        last = performance.now();
        drawn();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, some));
  }

  async sheet(number, signal) {
    try {
      const blob = await blobOf(`v1/map/sheets/${number}`, signal);
      let source = blob;
      for (let level = 0; level < LEVELS; level += 1) source = await this.put(source, number, level);
      source.close();
    } catch (error) {
      if (!BUSY.has(error.status)) throw error;
      await new Promise((later) => setTimeout(later, AGAIN_MS));
      if (!signal.aborted) await this.sheet(number, signal);
    }
  }

  // source: the sheet as a file, or as the level before; gives this level.
  async put(source, number, level) {
    const { gl } = this,
      side = (ROW * this.cell) >> level,
      across = LAYER / (ROW * this.cell),
      inLayer = number % across ** 2;
    const bitmap = await createImageBitmap(source, {
      premultiplyAlpha: "premultiply",
      resizeWidth: side,
      resizeHeight: side,
      resizeQuality: "high",
    });
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.sheets);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    gl.texSubImage3D(
      gl.TEXTURE_2D_ARRAY,
      level,
      (inLayer % across) * side,
      Math.floor(inLayer / across) * side,
      Math.floor(number / across ** 2),
      side,
      side,
      1,
      gl.RGBA,
      gl.UNSIGNED_BYTE,
      bitmap,
    );
    if (level) source.close();
    return bitmap;
  }

  // Sizes in px of the screen: unit, how long the map's side is; size, of a picture; point, of a point of colour.
  // fineness: pixels that are drawn for one of the screen, 1 at most.
  draw({ middle, unit, size, point, near, hovered, marked, paper, accent, fineness }) {
    const { gl, canvas } = this,
      ratio = fineness * Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * ratio),
      height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
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
      sheets: this.sheets,
      paper: paper.map((part) => part / 255),
      accent: accent.map((part) => part / 255),
    });
    if (!near) drawBufferInfo(gl, vertices, gl.POINTS, this.count);
    else
      this.drawSeen(
        vertices,
        middle,
        (canvas.clientWidth / 2 + 2 * size) / unit,
        (canvas.clientHeight / 2 + 2 * size) / unit,
      );
  }

  // Pictures at most so far from the middle, a column of the grid at a time.
  drawSeen(vertices, [x, y], across, down) {
    const { gl, starts } = this,
      part = (value) => Math.min(Math.max(Math.floor(value * GRID), 0), GRID - 1);
    for (let column = part(x - across); column <= part(x + across); column += 1) {
      const first = starts[column * GRID + part(y - down)],
        end = starts[column * GRID + part(y + down) + 1];
      if (end > first)
        drawBufferInfo(gl, vertices, gl.TRIANGLES, SQUARE.length * (end - first), 4 * SQUARE.length * first);
    }
  }
}
