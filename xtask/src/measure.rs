//! Every number the README quotes, measured on the real models and data in `LAPIDARY_DATA`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{cargo, output, run, target};

/// Normalisation the CIFAR-10 ResNets were trained with.
const CIFAR_SCALE: [&str; 4] = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"];

/// The release binary and the folder of real data.
struct Bench {
    lapidary: PathBuf,
    data: PathBuf,
    out: PathBuf,
}

/// Measures and prints everything.
pub fn run_all() -> Result<(), String> {
    let data = std::env::var_os("LAPIDARY_DATA")
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir())
        .ok_or("set LAPIDARY_DATA to the folder with the real models and data (models/, mnist/, cifar10/, …)")?;
    run(cargo().args(["build", "--release", "--package", "lapidary"]))?;
    let bench = Bench {
        lapidary: target().join("release").join("lapidary"),
        data,
        out: target().join("measure"),
    };
    std::fs::create_dir_all(&bench.out).map_err(|e| format!("{}: {e}", bench.out.display()))?;
    bench.demo()?;
    bench.search()?;
    bench.accuracy()?;
    bench.sizes()?;
    bench.optimize()?;
    println!("\n## Real models through reading, writing and inference\n");
    run(cargo()
        .args([
            "test",
            "--release",
            "--package",
            "lapidary-runtime",
            "--package",
            "lapidary-model",
            "real_models",
        ])
        .args(["--", "--ignored", "--nocapture"])
        .env("LAPIDARY_DATA", &bench.data))
}

impl Bench {
    fn lapidary(&self, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.lapidary);
        command.args(args).arg("--json");
        let text = output(&mut command)?;
        serde_json::from_str(&text).map_err(|e| format!("{command:?} printed no JSON: {e}"))
    }

    fn path(&self, name: &str) -> String {
        self.data.join(name).display().to_string()
    }

    fn model(&self, name: &str) -> String {
        self.path(&format!("models/{name}"))
    }

    /// The main job, as a new user runs it.
    fn demo(&self) -> Result<(), String> {
        println!("\n## Demo\n");
        run(Command::new(&self.lapidary)
            .args(["demo", "--out"])
            .arg(self.out.join("demo")))
    }

    /// Medians of the strategies on the functions their peers were measured on.
    fn search(&self) -> Result<(), String> {
        for strategy in ["random", "greedy", "genetic", "adaptive"] {
            println!("\n## Search: {strategy}\n");
            run(cargo()
                .args([
                    "run",
                    "--release",
                    "--quiet",
                    "--package",
                    "lapidary-benches",
                ])
                .args(["--example", "quality", "--", strategy])
                .env("LAPIDARY_DATA", &self.data))?;
        }
        Ok(())
    }

    /// Accuracy of published models on published test data.
    fn accuracy(&self) -> Result<(), String> {
        println!(
            "\n## Evaluation\n\n| model | data | samples | accuracy | seconds |\n|---|---|--:|--:|--:|"
        );
        let mnist = self.path("mnist");
        let cifar = self.path("cifar10/train_first4000_lossless.bin.gz");
        for name in ["mnist-net_256x2.onnx", "mnist-net_256x4.onnx"] {
            let result = self.lapidary(&[
                "eval",
                &self.model(name),
                "--data",
                &mnist,
                "--split",
                "test",
            ])?;
            row(name, "MNIST test", &result);
        }
        for name in ["resnet20.onnx", "resnet32.onnx"] {
            let model = self.model(name);
            let mut args = vec![
                "eval", &model, "--data", &cifar, "--split", "all", "--limit", "2000",
            ];
            args.extend(CIFAR_SCALE);
            row(
                name,
                "CIFAR-10, first 2,000 training images",
                &self.lapidary(&args)?,
            );
        }
        Ok(())
    }

    /// Sizes as `inspect` gives them.
    fn sizes(&self) -> Result<(), String> {
        println!("\n## Sizes\n\n| model | params | bytes | MACs |\n|---|--:|--:|--:|");
        for name in [
            "mnist-net_256x2.onnx",
            "resnet20.onnx",
            "resnet32.onnx",
            "minilm_l6.onnx",
            "ultraface_rfb320.onnx",
            "magika_v3_3.onnx",
            "dtln_1.onnx",
        ] {
            let result = self.lapidary(&["inspect", &self.model(name)])?;
            println!(
                "| {name} | {} | {} | {} |",
                result["params"], result["bytes"], result["macs"]
            );
        }
        Ok(())
    }

    /// Optimizers on a real convolutional network.
    fn optimize(&self) -> Result<(), String> {
        println!(
            "\n## Optimization of resnet20 (CIFAR-10 images given)\n\n| recipe | stage | accuracy | bytes | sparsity |\n|---|---|--:|--:|--:|"
        );
        let model = self.model("resnet20.onnx");
        let cifar = self.path("cifar10/train_first4000_lossless.bin.gz");
        for recipe in [
            "quantize",
            "quantize:scheme=weight_only",
            "prune:sparsity=0.5,finetune_epochs=1",
        ] {
            let out = self.out.join("resnet20.onnx").display().to_string();
            let mut args = vec![
                "optimize", &model, "--with", recipe, "--data", &cifar, "-o", &out,
            ];
            args.extend(CIFAR_SCALE);
            let result = self.lapidary(&args)?;
            for stage in result["stages"].as_array().into_iter().flatten() {
                println!(
                    "| {recipe} | {} | {} | {} | {} |",
                    stage["name"], stage["metrics"]["accuracy"], stage["bytes"], stage["sparsity"]
                );
            }
            exists(Path::new(&out))?;
        }
        Ok(())
    }
}

fn row(model: &str, data: &str, result: &Value) {
    println!(
        "| {model} | {data} | {} | {} | {} |",
        result["samples"], result["metrics"]["accuracy"], result["seconds"]
    );
}

fn exists(path: &Path) -> Result<(), String> {
    if path.is_file() {
        Ok(())
    } else {
        Err(format!("{} was not written", path.display()))
    }
}
