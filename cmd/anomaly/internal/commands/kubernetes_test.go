//go:build !edge

package commands

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/urfave/cli/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// keda is the module whose definition of a ScaledObject the example is held to.
const keda = "github.com/kedacore/keda/v2@v2.21.0"

func manifest(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKubernetesDeployment holds that the example is a Deployment as Kubernetes
// knows it, with flags that worker has and the probes that it answers.
func TestKubernetesDeployment(t *testing.T) {
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(manifest(t, "worker.yaml"), &d); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	if d.Kind != "Deployment" || d.APIVersion != "apps/v1" || d.Name == "" || len(pod.Containers) != 1 || d.Spec.Selector == nil {
		t.Fatalf("got %s %s %q with %d containers", d.APIVersion, d.Kind, d.Name, len(pod.Containers))
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[key] != value {
			t.Errorf("label %s: got %q, want the selector's %q", key, d.Spec.Template.Labels[key], value)
		}
	}
	if d.Spec.Replicas != nil {
		t.Error("got replicas, which are KEDA's and would be undone")
	}
	c := pod.Containers[0]
	app := newApp("dev", io.Discard, io.Discard)
	var o *workerOptions
	app.Command("worker").Action = func(c *cli.Context) (err error) {
		o, err = parseWorker(c)
		return err
	}
	if err := app.RunContext(t.Context(), append([]string{"anomaly"}, c.Args...)); err != nil {
		t.Fatal(err)
	}
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || float64(*grace) <= o.worker.DrainTimeout.Seconds() {
		t.Errorf("got %v seconds to end, want more than --drain-timeout %v", grace, o.worker.DrainTimeout)
	}
	mounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return strings.HasPrefix(o.queue.Credentials, m.MountPath+"/")
	})
	if !mounted {
		t.Errorf("%s is in no mounted volume", o.queue.Credentials)
	}
	for name, probe := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != name || len(c.Ports) != 1 || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("%s: got probe %+v", name, probe)
		}
	}
	if want := o.health; len(c.Ports) != 1 || !strings.HasSuffix(want, ":8090") || c.Ports[0].ContainerPort != 8090 {
		t.Errorf("got ports %+v, want that of --health %s", c.Ports, want)
	}
}

// TestKubernetesScaledObject holds the other example to KEDA's own definition, and
// to the names that queues have.
func TestKubernetesScaledObject(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", keda).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		t.Skipf("%s cannot be downloaded: %v", keda, err)
	}
	b, err := os.ReadFile(filepath.Join(module.Dir, "config", "crd", "bases", "keda.sh_scaledobjects.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(b, &definition); err != nil || len(definition.Spec.Versions) == 0 {
		t.Fatalf("got no definition: %v", err)
	}
	schema := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	closed(schema)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("scaledobject.json", schema); err != nil {
		t.Fatal(err)
	}
	check, err := compiler.Compile("scaledobject.json")
	if err != nil {
		t.Fatal(err)
	}
	text := string(manifest(t, "scaledobject.yaml"))
	read := func(text string) (v any) {
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := check.Validate(read(text)); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{{"maxReplicaCount: 16", "maxReplicaCount: many"}, {"triggers:", "trigger:"}, {"minReplicaCount", "minReplicas"}} {
		if check.Validate(read(strings.Replace(text, change[0], change[1], 1))) == nil {
			t.Errorf("%s: got no complaint: the definition holds nothing", change[1])
		}
	}
	var o struct {
		APIVersion, Kind string
		Spec             struct {
			ScaleTargetRef struct{ Name string }
			Triggers       []struct {
				Type     string
				Metadata map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	if o.APIVersion != "keda.sh/"+definition.Spec.Versions[0].Name || o.Kind != "ScaledObject" || o.Spec.ScaleTargetRef.Name != "anomaly-worker" || len(o.Spec.Triggers) != 1 {
		t.Fatalf("got %+v", o)
	}
	trigger := o.Spec.Triggers[0]
	if trigger.Type != "nats-jetstream" || trigger.Metadata["stream"] != "anomaly-jobs" || trigger.Metadata["consumer"] != "workers" {
		t.Errorf("got trigger %+v, want the queue's stream and consumer", trigger)
	}
}

// closed makes a definition refuse what it does not name.
func closed(schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	if _, open := schema["additionalProperties"]; properties != nil && !open && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	for _, p := range properties {
		if p, ok := p.(map[string]any); ok {
			closed(p)
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		closed(items)
	}
}
