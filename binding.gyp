{
  # node-gyp, npm and prebuildify enter here; CMake does the work. No source is listed in this file.
  "targets": [
    {
      "target_name": "mm_prm_native",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt", "<!@(node scripts/native.cjs --list-inputs)"],
          "outputs": ["<(PRODUCT_DIR)/mm_prm.node"],
          "action": ["node", "scripts/native.cjs", "--product-dir", "<(PRODUCT_DIR)", "--node-root-dir", "<(node_root_dir)"]
        }
      ]
    }
  ]
}
