// Makes the modules in ../page/vendor of the packages in package-lock.json, each with its licence beside it.

import { copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { build } from "esbuild";

const VENDOR = "../page/vendor";
// package -> what of it the page uses, and where its licence lies
const TAKEN = {
  openseadragon: { contents: 'export { default } from "openseadragon";', licence: "LICENSE.txt" },
  "twgl.js": {
    contents:
      'export { createBufferInfoFromArrays, createProgramInfo, createVertexArrayInfo, drawBufferInfo, setAttribInfoBufferFromArray, setUniforms } from "twgl.js";',
    licence: "LICENSE.md",
  },
};

rmSync(VENDOR, { recursive: true, force: true });
mkdirSync(VENDOR);
for (const [name, { contents, licence }] of Object.entries(TAKEN)) {
  const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  await build({
    stdin: { contents, resolveDir: "." },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    banner: { js: `// ${name} ${version}, ${license}; made by service/page-build` },
    outfile: `${VENDOR}/${name.replace(/\.js$/, "")}.js`,
  });
  copyFileSync(`node_modules/${name}/${licence}`, `${VENDOR}/${name.replace(/\.js$/, "")}.LICENSE.txt`);
}
