// Validates resources of Prometheus' operator and of the Gateway API against those projects' own definitions.
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

const kinds = { HTTPRoute, PrometheusRule, ServiceMonitor };
const { documents } = JSON.parse(process.argv[2]);
const problems = documents.map((document) => {
  try {
    new kinds[document.kind](document).validate();
    return "";
  } catch (error) {
    return String(error);
  }
});
console.log(JSON.stringify({ problems }));
