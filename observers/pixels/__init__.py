"""Plain pixels: PSNR and SSIM evidence."""
