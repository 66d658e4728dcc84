//! The tutorial's `flow_dependencias.py`: extract, validate, transform, load.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[data]
pub struct Venda {
    pub id: u32,
    pub produto: String,
    pub valor: f64,
    pub quantidade: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
}

#[data]
pub struct Carga {
    pub status: String,
    pub registros_carregados: usize,
}

#[task]
pub fn extrair_dados_vendas() -> Vec<Venda> {
    info!("Iniciando extração de dados de vendas");

    // Simula extração de dados
    sleep(Duration::from_secs(2));

    let venda =
        |id, produto: &str, valor, quantidade| Venda { id, produto: produto.into(), valor, quantidade, total: None };
    let dados = vec![venda(1, "Notebook", 2500.00, 2), venda(2, "Mouse", 50.00, 5), venda(3, "Teclado", 150.00, 3)];

    info!("Extraídos {} registros de vendas", dados.len());
    dados
}

#[task]
pub fn validar_dados(dados: Vec<Venda>) -> Vec<Venda> {
    info!("Iniciando validação de dados");

    // Simula validação
    sleep(Duration::from_secs(1));

    let mut dados_validos = Vec::new();
    for item in dados {
        if item.valor > 0.0 && item.quantidade > 0 {
            info!("Registro {} validado com sucesso", item.id);
            dados_validos.push(item);
        } else {
            warn!("Registro {} falhou na validação", item.id);
        }
    }
    dados_validos
}

#[task]
pub fn transformar_dados(mut dados: Vec<Venda>) -> Vec<Venda> {
    info!("Iniciando transformação de dados");

    // Simula transformação (cálculo de total)
    sleep(Duration::from_secs(1));

    for item in &mut dados {
        let total = item.valor * item.quantidade as f64;
        item.total = Some(total);
        info!("Produto {}: Total = R$ {total:.2}", item.produto);
    }
    dados
}

#[task]
pub fn carregar_dados(dados: Vec<Venda>) -> Carga {
    info!("Iniciando carregamento no Data Warehouse");

    // Simula carregamento
    sleep(Duration::from_secs(2));

    info!("Carregados {} registros no Data Warehouse", dados.len());
    info!("Pipeline ETL finalizado com sucesso");
    Carga { status: "success".into(), registros_carregados: dados.len() }
}

#[flow(title = "Pipeline ETL Vendas")]
pub fn pipeline_etl_vendas() -> Result<Carga> {
    // Definindo o pipeline com dependências
    let dados_brutos = extrair_dados_vendas()?;
    let dados_validos = validar_dados(dados_brutos)?;
    let dados_transformados = transformar_dados(dados_validos)?;
    carregar_dados(dados_transformados)
}

export_module!(
    flows: [pipeline_etl_vendas],
    tasks: [extrair_dados_vendas, validar_dados, transformar_dados, carregar_dados],
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing::{self, Level};

    #[test]
    fn three_sales_are_loaded() {
        let carga = pipeline_etl_vendas().unwrap();
        assert_eq!((carga.status.as_str(), carga.registros_carregados), ("success", 3));
        assert_eq!(testing::sleeps().iter().sum::<Duration>(), Duration::from_secs(6));
        let logs: Vec<_> = testing::logs().into_iter().map(|line| line.message).collect();
        assert!(logs.contains(&"Produto Notebook: Total = R$ 5000.00".to_owned()), "{logs:?}");
    }

    #[test]
    fn what_is_not_valid_is_left_out_with_a_warning() {
        let mut dados = extrair_dados_vendas().unwrap();
        dados[1].quantidade = 0;
        let ids: Vec<_> = validar_dados(dados).unwrap().iter().map(|venda| venda.id).collect();
        assert_eq!(ids, [1, 3]);
        assert!(testing::logs().iter().any(|line| line.level == Level::Warn && line.message.contains("Registro 2")));
    }
}
