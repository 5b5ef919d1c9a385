// Checks custom resources against the schemas of their definitions: JSON from the standard input, problems as JSON.
// A field that a schema does not know is never asked for while an object is validated: that is how it is found.
import { readFileSync } from "node:fs";

const packages = {
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "external-secrets.io": "@kubernetes-models/external-secrets",
};

function watched(value, path, asked, all) {
  if (value === null || typeof value !== "object") return value;
  const inner = Array.isArray(value) ? [] : {};
  for (const [key, one] of Object.entries(value)) {
    all.add(`${path}/${key}`);
    inner[key] = watched(one, `${path}/${key}`, asked, all);
  }
  return new Proxy(inner, {
    get(target, key) {
      if (typeof key === "string") asked.add(`${path}/${key}`);
      return target[key];
    },
  });
}

const told = [];
for (const one of JSON.parse(readFileSync(0, "utf8"))) {
  const [group, version] = one.apiVersion.split("/");
  const problems = [];
  if (!packages[group]) problems.push(`no schema of ${group} is known`);
  else {
    const known = await import(`${packages[group]}/${group}/${version}`);
    const asked = new Set(), all = new Set();
    try {
      const model = new known[one.kind](one);
      // validated in the place of the copy that the model has made
      Object.getPrototypeOf(model).validate.call(watched(one, "", asked, all));
    } catch (error) {
      problems.push(error.message);
    }
    for (const path of all) {
      // Routes below a route are free JSON in the schema: the test hands them over as routes of their own.
      if (!path.startsWith("/spec") || path.startsWith("/spec/route/routes/")) continue;
      if (!asked.has(path)) problems.push(`${path} is no field`);
    }
  }
  told.push({ kind: one.kind, name: one.metadata.name, problems });
}
console.log(JSON.stringify(told));
